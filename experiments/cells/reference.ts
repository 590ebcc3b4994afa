/**
 * One cell with reference guests: two real gateways and the UDP emulator between them. Reads a
 * `CellOrder` on its standard input; see src/experiment/cell_process.ts.
 */
import type { CellOrder } from "../../src/experiment/cell_process.ts";
import { peakBitsPerSecond } from "../../src/experiment/report/series.ts";
import { type CellFigures, failedFigures, type Sample } from "../../src/experiment/row.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { causewayView } from "./causeway_view.ts";
import { runCell } from "./cell_main.ts";
import { startFaults } from "./faults.ts";
import { ReferenceSites, type SiteName } from "./reference_sites.ts";
import { pause, Sampler } from "./sampler.ts";

const POLL_MS = 100;
const LINK_TIMEOUT_MS = 30_000;
const WATCH_MS_MAX = 30_000;

/** Where the moves of a cell are, and when they began. */
interface Moves {
  readonly from: SiteName;
  readonly ids: readonly string[];
  readonly startMs: number;
}

async function referenceCell(
  order: CellOrder,
  owned: AsyncDisposableStack,
): Promise<CellFigures> {
  const { cell, profile, forceMs, timeLimitMs } = order;
  const { guest, strategy } = cell;
  if (guest.kind !== "reference" || strategy.way !== "causeway") {
    throw new Error("This cell is not one of a reference guest through the gateways");
  }
  const sites = await ReferenceSites.start(profile, cell.seed, owned);
  const guests = Array.from({ length: guest.count }, (_, index) => `vm${index + 1}`);
  await linkUp(sites);
  for (const [index, id] of guests.entries()) await register(sites, order, id, index);
  await pause(order.warmUpMs);

  const before = sites.relay.counters();
  const moves = await begin(sites, guests, strategy.options);
  const sampled = { sites, sampleMs: order.sampleMs };
  using _faults = startFaults(cell.faults.events, {
    outage: ({ durationMs, mode, direction }) =>
      sites.relay.outage(durationMs, mode, direction === "both" ? undefined : direction),
    kill: (gateway) => sites.kill(gateway === "source" ? "a" : "b"),
  });
  const there = await follow(moves, sampled, { forceMs, timeLimitMs });
  const failed = there.reports.find(({ state }) => state !== "completed");
  if (failed) return failure(failed, there.samples);
  const first = { ...summed(there.reports), wireBytes: wireBytes(sites) - sum(before) };

  let { reports, samples, forced } = there;
  let figures = first;
  if (strategy.backAfterSeconds !== null) {
    await pause(strategy.backAfterSeconds * 1000);
    const beforeBack = wireBytes(sites);
    const back = await follow(await bringBack(sites, moves.ids), sampled, { forceMs, timeLimitMs });
    ({ reports, samples, forced } = back);
    const lost = reports.find(({ state }) => state !== "completed");
    if (lost) return failure(lost, samples);
    figures = { ...summed(reports), wireBytes: wireBytes(sites) - beforeBack };
  }
  const here: SiteName = strategy.backAfterSeconds === null ? "b" : "a";
  const verified = await verify(sites, here, guests);
  const { forward, latePackets, sentPackets } = sites.relay.counters();
  const { queue: _queue, ...lost } = forward.droppedPackets;
  const lostPackets = Object.values(lost).reduce((all, packets) => all + packets, 0);
  return {
    ...failedFigures(""),
    state: forced ? "forced" : "completed",
    note: forced ? `switched over by force after ${forceMs! / 1000} s` : null,
    ...figures,
    firstTotalMs: strategy.backAfterSeconds === null ? null : first.totalMs,
    firstWireBytes: strategy.backAfterSeconds === null ? null : first.wireBytes,
    rounds: Math.max(...reports.map(({ rounds }) => rounds.length)),
    verified,
    link: {
      roundTripMs: (await peerOf(sites)).path.minRoundTripMs,
      peakBitsPerSecond: peakBitsPerSecond(samples),
      lossRatio: forward.wirePackets === 0 ? null : lostPackets / forward.wirePackets,
      lateRatio: sentPackets === 0 ? null : latePackets / sentPackets,
    },
    blackoutsMs: reports.map(({ downtimeMs }) => downtimeMs!),
    samples,
    decisions: reports.flatMap(({ decisions }) => decisions.map(({ action }) => action)),
  };
}

async function linkUp(sites: ReferenceSites): Promise<void> {
  const deadlineMs = performance.now() + LINK_TIMEOUT_MS;
  while ((await peerOf(sites)).state !== "up") {
    if (performance.now() > deadlineMs) throw new Error("The link did not come up");
    await pause(POLL_MS);
  }
}

/** The destination, as the source's gateway sees it. */
async function peerOf(
  sites: ReferenceSites,
): Promise<{ state: string; path: { minRoundTripMs: number | null } }> {
  const api = await sites.api("a");
  return (await api.call<Awaited<ReturnType<typeof peerOf>>[]>("GET", "/peers"))[0];
}

async function register(
  sites: ReferenceSites,
  { cell }: CellOrder,
  id: string,
  index: number,
): Promise<void> {
  const { guest, workload, seed } = cell;
  if (guest.kind !== "reference") return;
  const definition = (role: string) => ({
    kind: "reference",
    role,
    memoryMiB: guest.memoryMiB,
    disks: guest.disks,
    workload: { ...workload.reference, seed: seed * 100 + index },
  });
  await (await sites.api("b")).call("PUT", `/guests/${id}`, definition("incoming"));
  await (await sites.api("a")).call("PUT", `/guests/${id}`, definition("source"));
}

async function begin(
  sites: ReferenceSites,
  guests: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<Moves> {
  const api = await sites.api("a");
  const startMs = performance.now();
  const started = await Promise.all(
    guests.map((guest) =>
      api.call<MigrationReport>("POST", "/migrations", { guest, to: "b", ...options })
    ),
  );
  return { from: "a", ids: started.map(({ id }) => id), startMs };
}

/** Moves back of what the machines are now. */
async function bringBack(sites: ReferenceSites, ids: readonly string[]): Promise<Moves> {
  const api = await sites.api("b");
  const startMs = performance.now();
  const asked = await Promise.all(
    ids.map((id) => api.call<MigrationReport>("POST", `/migrations/${id}/rollback`)),
  );
  return { from: "b", ids: asked.map(({ rollback }) => rollback!.migration), startMs };
}

/** Watches moves to their end, by force where they do not come to it. */
async function follow(
  { from, ids, startMs }: Moves,
  { sites, sampleMs }: { sites: ReferenceSites; sampleMs: number },
  { forceMs, timeLimitMs }: Pick<CellOrder, "forceMs" | "timeLimitMs">,
): Promise<{ reports: MigrationReport[]; samples: readonly Sample[]; forced: boolean }> {
  const startBytes = wireBytes(sites);
  const ask = async () => {
    const api = await sites.api(from);
    return await Promise.all(ids.map((id) => api.migration(id)));
  };
  let forced = false;
  await using sampler = new Sampler(sampleMs, async () => seen(await ask(), sites, startBytes));
  for (;;) {
    const reports = await ask().catch(() => null);
    const elapsedMs = performance.now() - startMs;
    const ended = reports?.filter(({ state }) => ENDED_STATES.includes(state)) ?? [];
    if (reports !== null && ended.length === ids.length) {
      return { reports, samples: sampler.samples, forced };
    }
    if (elapsedMs > timeLimitMs + WATCH_MS_MAX) throw new Error("The moves did not end in time");
    if (forceMs !== null && elapsedMs > forceMs && !forced && reports !== null) {
      forced = true;
      const api = await sites.api(from);
      for (const id of ids) await api.request("POST", `/migrations/${id}/switchover`);
    }
    await pause(POLL_MS);
  }
}

function seen(
  reports: readonly MigrationReport[],
  sites: ReferenceSites,
  startBytes: number,
): Omit<Sample, "atMs"> {
  const views = reports.map(causewayView);
  const total = (of: (view: typeof views[number]) => number | null) =>
    views.map(of).reduce((all, value) => all === null || value === null ? null : all + value, 0);
  // The one that is furthest behind says what is going on.
  const slowest = reports.reduce(
    (least, report, index) => report.progress < reports[least].progress ? index : least,
    0,
  );
  return {
    phase: views[slowest].phase,
    wireBytes: wireBytes(sites) - startBytes,
    remainingBytes: total(({ remainingBytes }) => remainingBytes),
    dirtyBytesPerSecond: total(({ dirtyBytesPerSecond }) => dirtyBytesPerSecond),
  };
}

function summed(reports: readonly MigrationReport[]) {
  const add = (of: (report: MigrationReport) => number) =>
    reports.reduce((all, report) => all + of(report), 0);
  return {
    // They began together: the last one counts.
    totalMs: Math.max(...reports.map(({ totalMs }) => totalMs!)),
    downtimeMs: Math.max(...reports.map(({ downtimeMs }) => downtimeMs!)),
    predictedDowntimeMs: reports[0].predictedDowntimeMs,
    memoryBytes: add(({ wireBytes }) => wireBytes.memory),
    diskBytes: add(({ wireBytes }) => wireBytes.disk),
  };
}

function failure(report: MigrationReport, samples: readonly Sample[]): CellFigures {
  const { state, error } = report;
  return { ...failedFigures(`${state}: ${error?.code ?? ""} ${error?.message ?? ""}`), samples };
}

async function verify(
  sites: ReferenceSites,
  site: SiteName,
  guests: readonly string[],
): Promise<string> {
  const api = await sites.api(site);
  const found = await Promise.all(
    guests.map((id) => api.call<{ ok: boolean }>("POST", `/guests/${id}/verify`)),
  );
  const wrong = found.find(({ ok }) => !ok);
  if (wrong) throw new Error(`A machine is damaged: ${JSON.stringify(wrong)}`);
  return "whole";
}

function wireBytes(sites: ReferenceSites): number {
  return sum(sites.relay.counters());
}

function sum({ forward, backward }: Pick<Counted, "forward" | "backward">): number {
  return forward.wireBytes + backward.wireBytes;
}

type Counted = ReturnType<ReferenceSites["relay"]["counters"]>;

if (import.meta.main) await runCell(referenceCell);
