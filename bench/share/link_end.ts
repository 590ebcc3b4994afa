/**
 * One end of a link with moves on it: `receive CONFIG PEER`, or `send CONFIG PEER PLAN`, PLAN being
 * the JSON of a `LinkPlan`.
 */
import { loadConfig } from "../../src/config/config.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { openEndpoint } from "../../src/link/endpoint.ts";
import { createSessionLink } from "../../src/link/session_link.ts";
import { FairRate } from "../../src/migration/control/rate/fair.ts";
import { measurement } from "../../src/migration/control/testing/measurements.ts";
import { cpuMs, incompressible, print, SAMPLE_MS, sampleReceived } from "../goodput/messages.ts";
import { type LinkPlan, moveId, type MovePlan } from "./plan.ts";

const FAIR_MS = 100;
/** What waits for the link: more than it takes between two looks. */
const FRAME_BACKLOG_BYTES = 16e6;
/** Any number that a channel takes: nobody looks at the payloads. */
const FRAME_TYPE = 16;

const [role, configPath, peer, planText] = Deno.args;
const clock = systemClock();
const incarnation = crypto.randomUUID();
const endpoint = await openEndpoint({
  config: await loadConfig(configPath),
  incarnation,
  clock,
  audit: (kind, body) => console.error(kind, body),
});
const link = createSessionLink({
  peerName: peer,
  clock,
  incarnation,
  dial: role === "send" ? (signal) => endpoint.dial(peer, signal) : null,
});
if (role === "receive") receive();
else await send(JSON.parse(planText) as LinkPlan);

function receive(): void {
  const bytes = new Map<string, number>();
  const total = () => [...bytes.values()].reduce((sum, each) => sum + each, 0);
  endpoint.onAccept((carrier) => link.attach(carrier));
  link.onNewMigration((id) => {
    link.channel(id, "memory").receive(({ payload }) => {
      bytes.set(id, (bytes.get(id) ?? 0) + payload.byteLength);
      return Promise.resolve();
    });
  });
  sampleReceived(total);
  setInterval(() => print({ event: "trace", epochMs: epochMs(), bytes: [...bytes] }), SAMPLE_MS);
  print({ event: "listening", address: endpoint.address });
}

async function send(plan: LinkPlan): Promise<void> {
  await up();
  if (plan.probe) print({ event: "trace", probe: await link.probePath() });
  const startMs = clock.nowMs();
  const endMs = startMs + plan.seconds * 1000;
  print({ event: "sending" });
  const caps = plan.moves.map((move, index) => capped(move, moveId(index)));
  const trace = setInterval(() => {
    const atMs = clock.nowMs() - startMs;
    const inForce = caps.map((capOf) => capOf(atMs));
    print({ event: "trace", atMs, epochMs: epochMs(), caps: inForce, ...link.path() });
  }, FAIR_MS);
  const payload = incompressible(plan.frameBytes);
  await Promise.all(plan.moves.map(async ({ priority = "normal", weight = 100 }, index) => {
    const channel = link.channel(moveId(index), "memory");
    link.setMigrationShare(moveId(index), { priority, weight });
    while (clock.nowMs() < endMs) await channel.send(FRAME_TYPE, payload);
  }));
  clearInterval(trace);
  print({ event: "done", cpuMs: cpuMs() });
  Deno.exit(0);
}

/** Follows the caps of a plan; the one in force at a time after the start. */
function capped({ caps = [] }: MovePlan, id: string): (atMs: number) => number | null {
  const fair = new FairRate({ maxBytesPerSecond: null });
  let inForce: number | null = null;
  const enforce = (cap: number | null) => {
    if (cap !== inForce) link.setMigrationRateLimit(id, cap);
    inForce = cap;
    return cap;
  };
  return (atMs) => {
    const wish = caps.findLast((entry) => entry.atMs <= atMs)?.cap ?? null;
    return enforce(wish === "fair" ? fairCap(fair) : wish);
  };
}

/** The policy of a move that always has something to send. */
function fairCap(fair: FairRate): number | null {
  const path = link.path();
  const nowMs = clock.nowMs();
  return fair.decide({
    judgedMs: nowMs,
    measured: measurement(nowMs, { path }),
    appliedBytesPerSecond: path.goodputBytesPerSecond ?? 0,
    waitingBytes: FRAME_BACKLOG_BYTES,
    dirtyBytesPerSecond: null,
  }).bytesPerSecond;
}

async function up(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const off = link.onEvent(({ kind }) => kind === "up" && resolve());
  link.retry();
  if (link.state === "down") await promise;
  off();
  // The peer's first record makes it ready, its first report tells the round trip.
  while (link.path().roundTripMs === null) await clock.sleep(20);
}

function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
