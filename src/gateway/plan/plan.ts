import type { Clock } from "../../core/clock.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { DirtySample } from "../../guest/dirty_sample.ts";
import type { Finding, Guest, GuestDescription } from "../../guest/guest.ts";
import type { PathProbe, PeerLink } from "../../link/peer_link.ts";
import { fixedCap } from "../../migration/fixed_cap.ts";
import type { OwnershipRecord } from "../../migration/ports.ts";
import { notHeld } from "../../migration/source/actor.ts";
import type { GuestRegistry } from "../guests.ts";
import { whenUp } from "../link_up.ts";
import { requireOwner } from "../ownership.ts";
import type { PeerRegistry } from "../peers.ts";
import { shownPath } from "../shown_path.ts";
import { askDestination, type DestinationAnswer } from "./ask_destination.ts";
import { Forecaster } from "./forecaster.ts";
import { sampleImages } from "./image_sample.ts";
import { estimateMachine, type ImageContent } from "./machine_estimate.ts";
import { estimatePath } from "./path_estimate.ts";
import type { Plan, PlanRequest } from "./report.ts";
import type { ScratchFolders } from "./scratch.ts";
import { probeShared } from "./shared_probe.ts";
import { shownProbe, shownRates, shownSample } from "./shown.ts";

/** A dial takes some round trips; a forecast does not wait for a peer that is away. */
const LINK_UP_MS_MAX = 5_000;
/** A link that just came up knows its round trip after one, and which connection it uses. */
const ROUND_TRIP_MS_MAX = 2_000;
const LOOK_MS = 20;
/** A probe takes no longer than the watch beside it, or this, or so many round trips. */
const PROBE_SECONDS_MAX = 3;
const PROBE_ROUND_TRIPS = 12;
/** A machine that stands still is watched for its contents alone. */
const STILL_SECONDS = 1;

export interface PlanDeps {
  readonly site: string;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly peers: PeerRegistry;
  readonly ownership: (guestId: string) => OwnershipRecord | null;
  readonly movingGuest: (guestId: string) => string | null;
  readonly scratch: Pick<ScratchFolders, "open"> | null;
  readonly newId: () => string;
}

/**
 * Forecasts a move and says what stands in its way. The machine is watched, the path probed and the
 * peer asked, side by side; nothing moves, and nothing is changed at either site.
 *
 * @param signal whoever asks has gone: everything ends
 * @throws {GatewayError} `guest_unknown`, `guest_unreachable`, `peer_unknown`; what `signal` aborts with
 */
export async function planMove(
  deps: PlanDeps,
  request: PlanRequest,
  signal: AbortSignal,
): Promise<Plan> {
  const over = new AbortController();
  const abort = () => over.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  // Loads its modules while the machine is watched.
  using forecaster = new Forecaster();
  try {
    return await planned(deps, request, forecaster, over.signal);
  } catch (thrown) {
    throw signal.aborted ? signal.reason : thrown;
  } finally {
    signal.removeEventListener("abort", abort);
    // What one part of it leaves behind by failing ends with it.
    over.abort();
  }
}

async function planned(
  deps: PlanDeps,
  request: PlanRequest,
  forecaster: Forecaster,
  signal: AbortSignal,
): Promise<Plan> {
  const { clock, guests, peers } = deps;
  const { guest: guestId, to } = request;
  const link = await peers.link(to);
  const machine = await guests.machine(guestId);
  const description = await machine.describe();
  const [looked, [trouble, probe, asked]] = await Promise.all([
    lookAt(deps, machine, description, request, signal),
    reachPeer(deps, link, description, request, signal),
  ]);
  const { sample, images, problem } = looked;
  const answer = asked instanceof GatewayError ? null : asked;
  const caps = [peers.rate(to), fixedCap(request.rate)].filter((cap) => cap !== null);
  const path = estimatePath(probe, link.path(), caps.length > 0 ? Math.min(...caps) : null);
  const estimate = estimateMachine({
    description,
    sample,
    images,
    held: answer?.held ?? null,
    mayThrottleDisks: true,
  });
  const { strategies, changes } = await forecaster.forecast({
    machine: estimate.machine,
    path: path.path,
    isCapped: path.isCapped,
    strategy: request.strategy ?? null,
    maxDowntimeMs: request.maxDowntimeMs,
    rate: request.rate,
    whenOver: request.whenOver,
    startWallMs: clock.wallMs(),
    remarks: [...path.remarks, ...estimate.remarks, ...(problem === null ? [] : [problem])],
  }, signal);
  const { source, bytesPerSecond } = path.rate;
  return {
    guest: guestId,
    to,
    path: shownPath(link.path()),
    probe: shownProbe(probe),
    sample: shownSample(sample),
    destination: answer && {
      description: answer.description,
      availableMemoryBytes: answer.availableMemoryBytes,
      held: answer.held,
    },
    findings: [
      ...(trouble === null ? [] : [{ severity: "warning", ...trouble.toJSON() }]),
      ...findingsOf(asked),
      ...await localFindings(deps, request, description, answer),
    ],
    rate: { source, bytesPerSecond: shownRates(bytesPerSecond) },
    strategies,
    changes,
  };
}

/** What of the machine and its images is known after a while of looking at them. */
interface Looked {
  readonly sample: DirtySample | null;
  readonly images: ReadonlyMap<string, ImageContent>;
  /** Why the machine was not watched. */
  readonly problem: string | null;
}

async function lookAt(
  { movingGuest, scratch }: PlanDeps,
  machine: Guest,
  description: GuestDescription,
  { guest: guestId, seconds }: PlanRequest,
  signal: AbortSignal,
): Promise<Looked> {
  const { runState, disks } = description;
  const nowhere = { sample: null, images: new Map(), problem: null };
  if (runState !== "running" && runState !== "paused") return nowhere;
  const images = sampleImages(disks, Math.random, signal);
  images.catch(() => {});
  // A machine that moves may be slowed by its move, and its hypervisor has other things to do.
  if (movingGuest(guestId) !== null) return { ...nowhere, images: await images };
  await using folder = await scratch?.open() ?? null;
  try {
    const sample = await machine.sampleDirtyRate({
      seconds: runState === "running" ? seconds : STILL_SECONDS,
      scratchDirectory: folder?.path,
      signal,
    });
    return { sample, images: await images, problem: null };
  } catch (thrown) {
    signal.throwIfAborted();
    const problem = `the machine could not be watched: ${toGatewayError(thrown).message}`;
    return { sample: null, images: await images, problem };
  }
}

/** Connects, probes and asks; what the peer could not be asked, or refuses, is the third. */
async function reachPeer(
  deps: PlanDeps,
  link: PeerLink,
  description: GuestDescription,
  { guest, to, seconds }: PlanRequest,
  signal: AbortSignal,
): Promise<[GatewayError | null, PathProbe | null, DestinationAnswer | GatewayError | null]> {
  const { clock, peers, ownership } = deps;
  try {
    await whenUp(link, to, clock, () => peers.lastError(to), LINK_UP_MS_MAX, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    return [toGatewayError(thrown), null, null];
  }
  await roundTripKnown(link, clock, signal);
  const epoch = ownership(guest)?.epoch ?? 1;
  const roundTripSeconds = (link.path().minRoundTripMs ?? 0) / 1000;
  const secondsMax = Math.max(PROBE_SECONDS_MAX, seconds, PROBE_ROUND_TRIPS * roundTripSeconds);
  const [probe, asked] = await Promise.all([
    probeTwice(link, secondsMax, signal),
    askDestination({ ...deps, link }, { guest, epoch, description }, signal).catch((thrown) => {
      signal.throwIfAborted();
      return toGatewayError(thrown);
    }),
  ]);
  return [null, probe, asked];
}

async function roundTripKnown(link: PeerLink, clock: Clock, signal: AbortSignal): Promise<void> {
  const untilMs = clock.nowMs() + ROUND_TRIP_MS_MAX;
  while (link.path().roundTripMs === null && clock.nowMs() < untilMs) {
    await clock.sleep(LOOK_MS, signal);
  }
}

/** A link that has just come up may go over to another connection, and a probe ends with its own. */
async function probeTwice(
  link: PeerLink,
  secondsMax: number,
  signal: AbortSignal,
): Promise<PathProbe> {
  const probe = await probeShared(link, secondsMax, signal);
  const isCutShort = !probe.isSettled && probe.source === "filler" &&
    probe.seconds < secondsMax / 3;
  return isCutShort ? await probeShared(link, secondsMax, signal) : probe;
}

function findingsOf(asked: DestinationAnswer | GatewayError | null): readonly Finding[] {
  if (asked === null) return [];
  if (!(asked instanceof GatewayError)) return asked.findings;
  return [{
    severity: asked.code === "peer_unreachable" ? "warning" : "refusal",
    ...asked.toJSON(),
  }];
}

/** What the preflight finds at this site; changes nothing. */
async function localFindings(
  { site, guests, ownership, movingGuest }: PlanDeps,
  { guest: guestId, whenOver }: PlanRequest,
  description: GuestDescription,
  answer: DestinationAnswer | null,
): Promise<Finding[]> {
  const moving = movingGuest(guestId);
  if (moving !== null) {
    return [refusal(
      new GatewayError("guest_moving", `Cannot move ${guestId}: it is moving already`, {
        hint: `See GET /v1/migrations/${moving}`,
      }),
    )];
  }
  if (guests.get(guestId).role !== "source") {
    return [refusal(
      new GatewayError(
        "guest_not_source",
        `Cannot move ${guestId}: it waits here for an incoming move`,
        { hint: "Plan and start the move at the site where the machine runs" },
      ),
    )];
  }
  try {
    requireOwner(ownership(guestId), site, `move ${guestId} from here`);
  } catch (thrown) {
    return [refusal(toGatewayError(thrown))];
  }
  const { source } = await guests.machine(guestId);
  // From a machine like itself that waits nothing can differ: what is found is about this one.
  const counterpart = answer?.description ?? { ...description, runState: "incoming" as const };
  const mayThrottleDisks = whenOver.includes("throttleDisks");
  const findings = await source.preflight(counterpart, { mayThrottleDisks });
  return [...findings, ...notHeld(description)];
}

function refusal(error: GatewayError): Finding {
  return { severity: "refusal", ...error.toJSON() };
}
