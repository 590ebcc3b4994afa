import type { GuestDefinition } from "../../src/guest/definition.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { type ProfileShare, startProfile, timeByFunction } from "./cpu_profile.ts";
import { type ProcessCost, processCost } from "./process_cost.ts";
import { type Responses, watchResponses } from "./responses.ts";
import { type End, TwoGateways, type TwoGatewaysOptions } from "./two_gateways.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const GUEST_ID = "bench";
const POLL_MS = 250;
const PROFILE_ROWS = 15;

/** What the move cost one gateway. */
export interface EndCost extends Responses {
  /** Per GiB of memory and disk that the guest has. */
  readonly cpuSecondsPerGiB: number;
  readonly idleBytes: number;
  readonly peakBytes: number;
  /** Where the main thread spent its time; empty unless profiled. */
  readonly profile: readonly ProfileShare[];
}

/** One move of one guest. */
export interface CostMeasurement {
  readonly memoryMiB: number;
  readonly totalSeconds: number;
  readonly downtimeMs: number;
  /** Memory and disk over the time of the move. */
  readonly guestBytesPerSecond: number;
  readonly wireBytes: number;
  readonly source: EndCost;
  readonly destination: EndCost;
}

export interface CostOptions extends TwoGatewaysOptions {
  readonly memoryMiB: number;
  readonly diskMiB: number;
  readonly seed: number;
}

/** Moves a reference guest of that size between two fresh gateways. */
export async function measureCost(options: CostOptions): Promise<CostMeasurement> {
  await using gateways = await TwoGateways.start(options);
  const { source, destination } = gateways;
  const definition = (role: "source" | "incoming") => guest(role, options);
  const path = `/v1/guests/${GUEST_ID}`;
  try {
    await Promise.all([
      source.api.request("PUT", path, definition("source")),
      destination.api.request("PUT", path, definition("incoming")),
    ]);
    const observers = await Promise.all([observe(source), observe(destination)]);
    const report = await move(source);
    const guestBytes = (options.memoryMiB + options.diskMiB) * MIB;
    const [sourceCost, destinationCost] = await Promise.all(
      observers.map((stop) => stop(guestBytes)),
    );
    await assertWhole(destination);
    return {
      memoryMiB: options.memoryMiB,
      totalSeconds: report.totalMs! / 1000,
      downtimeMs: report.downtimeMs!,
      guestBytesPerSecond: guestBytes / report.totalMs! * 1000,
      wireBytes: report.wireBytes.total,
      source: sourceCost,
      destination: destinationCost,
    };
  } finally {
    for (const { api } of [source, destination]) {
      await api.request("DELETE", `${path}?end=true`).catch(() => {});
    }
  }
}

/** Hardly writes while it moves; nine tenths of it must cross, half of them compressible. */
function guest(
  role: "source" | "incoming",
  { memoryMiB, diskMiB, seed }: CostOptions,
): Extract<GuestDefinition, { kind: "reference" }> {
  return {
    kind: "reference",
    role,
    memoryMiB,
    disks: [{ sizeMiB: diskMiB }],
    workload: {
      seed,
      hotMiB: 4,
      coldRatio: 0.01,
      memoryBytesPerSecond: 400_000,
      diskBytesPerSecond: 40_000,
      silentRatio: 0.2,
      textRatio: 0.45,
      randomRatio: 0.45,
      freeMiB: 0,
    },
  };
}

async function move({ api }: End): Promise<MigrationReport> {
  const { id } = await api.post<MigrationReport>("/v1/migrations", { guest: GUEST_ID, to: "east" });
  for (;;) {
    const report = await api.migration(id);
    if (report.state === "completed") return report;
    if (ENDED_STATES.includes(report.state)) {
      throw new Error(`The move ended ${report.state}: ${JSON.stringify(report.error)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Starts to observe an end; what it gives ends that. */
async function observe({ process, api }: End): Promise<(guestBytes: number) => Promise<EndCost>> {
  const stopProfile = process.debuggerUrl === null ? null : await startProfile(process.debuggerUrl);
  const before = await processCost(process.pid);
  const responses = watchResponses(() => api.request("GET", "/healthz"));
  return async (guestBytes) => {
    const after = await processCost(process.pid);
    const answers = await responses.stop();
    const profile = stopProfile === null ? [] : timeByFunction(await stopProfile());
    return endCost(before, after, guestBytes, answers, profile.slice(0, PROFILE_ROWS));
  };
}

function endCost(
  before: ProcessCost,
  after: ProcessCost,
  guestBytes: number,
  responses: Responses,
  profile: ProfileShare[],
): EndCost {
  return {
    cpuSecondsPerGiB: (after.cpuSeconds - before.cpuSeconds) / (guestBytes / GIB),
    idleBytes: before.residentBytes,
    peakBytes: after.peakResidentBytes,
    ...responses,
    profile,
  };
}

async function assertWhole({ api }: End): Promise<void> {
  const check = await api.post<{ ok: boolean }>(`/v1/guests/${GUEST_ID}/verify`);
  if (!check.ok) throw new Error(`The guest is damaged: ${JSON.stringify(check)}`);
}
