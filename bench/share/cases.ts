import { loadProfile } from "../../src/emulator/load_profile.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { rateBetween, type Run, runShared, type Total } from "./arena.ts";
import { type LinkPlan, moveId, type MovePlan } from "./plan.ts";

/** Frames as batches of memory make them. */
const FRAME_BYTES = 128 * 1024;
/** Not counted at the beginning of a run. */
const WARM_UP_MS = 5_000;
/** A cap counts as reached when the mean of this time is within a tenth of it. */
const REACHED_MS = 400;

export interface CaseOptions {
  readonly profile: WanProfile;
  readonly seconds: number;
  readonly seed: number;
}

/** A profile by name; `NAME/lossless` is without loss, damage and jitter. */
export async function shapedProfile(text: string): Promise<WanProfile> {
  const [name, shape] = text.split("/");
  const profile = await loadProfile(name);
  if (shape === undefined) return profile;
  if (shape !== "lossless") throw new TypeError(`A profile is NAME or NAME/lossless, got ${text}`);
  const clean = { lossRatio: 0, corruptRatio: 0, burstLoss: null, jitterMs: 0 };
  return {
    ...profile,
    name: text,
    forward: { ...profile.forward, ...clean },
    backward: { ...profile.backward, ...clean },
    timeline: [],
  };
}

/** What a TCP download and a move get beside each other, as shares of the link's rate. */
export interface FairResult {
  readonly beside: "nothing" | "uncapped" | "fair";
  readonly tcpShare: number;
  readonly moveShare: number;
  readonly queueDropRatio: number;
  /** Mean of what the sender took for the queue, ms; null without one. */
  readonly queueMs: number | null;
  readonly series: readonly {
    readonly atMs: number;
    readonly tcpBytesPerSecond: number;
    readonly moveBytesPerSecond: number;
  }[];
}

/** One TCP download alone, beside a move without a cap, or beside one that yields. */
export async function fairCase(
  options: CaseOptions,
  beside: FairResult["beside"],
): Promise<FairResult> {
  const { profile, seconds, seed } = options;
  const moves: MovePlan[] = [{ caps: beside === "fair" ? [{ atMs: 0, cap: "fair" }] : [] }];
  const plan: LinkPlan | null = beside === "nothing"
    ? null
    : { seconds: seconds + 2, moves, frameBytes: FRAME_BYTES };
  const run = await runShared({ profile, seed, plan, tcpSeconds: seconds });
  const startMs = run.tcp[0]?.epochMs ?? NaN;
  const [fromMs, toMs] = [startMs + WARM_UP_MS, startMs + seconds * 1000];
  const share = (totals: readonly Total[]) =>
    rateBetween(totals, fromMs, toMs) * 8 / profile.forward.rateBitsPerSecond;
  const queues = run.trace.filter(({ epochMs }) => Number(epochMs) >= fromMs)
    .map(({ queueMs }) => queueMs).filter((queueMs) => typeof queueMs === "number");
  const series = [];
  for (let atMs = 0; atMs < seconds * 1000; atMs += 500) {
    const [from, to] = [startMs + atMs - 60, startMs + atMs + 560];
    series.push({
      atMs,
      tcpBytesPerSecond: Math.round(rateBetween(run.tcp, from, to)),
      moveBytesPerSecond: Math.round(rateBetween(run.moves, from, to)),
    });
  }
  return {
    beside,
    tcpShare: share(run.tcp),
    moveShare: share(run.moves),
    queueDropRatio: run.queueDropRatio,
    queueMs: queues.length === 0
      ? null
      : queues.reduce((sum, queueMs) => sum + queueMs, 0) / queues.length,
    series,
  };
}

/** How a cap shows on the wire. */
export interface FixedResult {
  readonly capBytesPerSecond: number;
  readonly wireBytesPerSecond: number;
  readonly frameBytes: number;
}

export async function fixedCase(
  { profile, seconds, seed }: CaseOptions,
  capBytesPerSecond: number,
  frameBytes = FRAME_BYTES,
): Promise<FixedResult> {
  const moves = [{ caps: [{ atMs: 0, cap: capBytesPerSecond }] }];
  const plan = { seconds: seconds + 3, moves, frameBytes };
  const run = await runShared({ profile, seed, plan, tcpSeconds: 0 });
  const startMs = run.moves[0]?.epochMs ?? NaN;
  const wireBytesPerSecond = rateBetween(
    run.wire,
    startMs + 2_000,
    startMs + 2_000 + seconds * 1000,
  );
  return { capBytesPerSecond, wireBytesPerSecond, frameBytes };
}

/** A cap that changes while a move sends. */
export interface StepResult {
  readonly steps: readonly {
    readonly atMs: number;
    readonly capBytesPerSecond: number;
    /** From the change to the first 400 ms in which the wire was within 10 % of it; null: never. */
    readonly reachedAfterMs: number | null;
    /** What was on the wire from a second after the change to the next one, over the cap. */
    readonly keptRatio: number;
  }[];
  readonly series: readonly {
    readonly atMs: number;
    readonly capBytesPerSecond: number | null;
    readonly wireBytesPerSecond: number;
  }[];
}

export async function stepCase(
  { profile, seed }: CaseOptions,
  caps: readonly number[],
  stepMs: number,
): Promise<StepResult> {
  const changes = caps.map((cap, index) => ({ atMs: index * stepMs, cap }));
  const plan = {
    seconds: caps.length * stepMs / 1000,
    moves: [{ caps: changes }],
    frameBytes: FRAME_BYTES,
  };
  const run = await runShared({ profile, seed, plan, tcpSeconds: 0 });
  const first = run.trace.find(({ atMs }) => typeof atMs === "number");
  const startMs = Number(first?.epochMs) - Number(first?.atMs);
  const series = run.wire.slice(1).map(({ epochMs }, index) => ({
    atMs: Math.round(epochMs - startMs),
    capBytesPerSecond: changes.findLast(({ atMs }) => atMs <= epochMs - startMs)?.cap ?? null,
    wireBytesPerSecond: Math.round(
      rateBetween(run.wire, run.wire[index].epochMs, epochMs),
    ),
  })).filter(({ atMs }) => atMs >= 0 && atMs <= plan.seconds * 1000);
  const steps = changes.map(({ atMs, cap }) => {
    const fromMs = startMs + atMs;
    const kept = rateBetween(run.wire, fromMs + 1_000, fromMs + stepMs);
    return {
      atMs,
      capBytesPerSecond: cap,
      reachedAfterMs: reachedAfterMs(run.wire, fromMs, stepMs, cap),
      keptRatio: kept / cap,
    };
  });
  return { steps, series };
}

function reachedAfterMs(
  wire: readonly Total[],
  fromMs: number,
  stepMs: number,
  cap: number,
): number | null {
  for (let afterMs = 0; afterMs <= stepMs - REACHED_MS; afterMs += 50) {
    // A sample beyond, on each side.
    const [start, end] = [fromMs + afterMs - 60, fromMs + afterMs + REACHED_MS + 60];
    if (Math.abs(rateBetween(wire, start, end) / cap - 1) <= 0.1) return afterMs;
  }
  return null;
}

/** What machines that share a link get, by their weights and priorities. */
export interface SharesResult {
  readonly moves: readonly MovePlan[];
  readonly shares: readonly number[];
  readonly bytesPerSecond: number;
}

export async function sharesCase(
  { profile, seconds, seed }: CaseOptions,
  moves: readonly MovePlan[],
): Promise<SharesResult> {
  const plan = { seconds: seconds + 3, moves, frameBytes: FRAME_BYTES };
  const run = await runShared({ profile, seed, plan, tcpSeconds: 0 });
  const startMs = run.moves[0]?.epochMs ?? NaN;
  const [fromMs, toMs] = [startMs + 2_000, startMs + 2_000 + seconds * 1000];
  const rates = moves.map((_, index) => rateBetween(byMove(run, moveId(index)), fromMs, toMs));
  const sum = rates.reduce((total, rate) => total + rate, 0);
  return { moves, shares: rates.map((rate) => rate / sum), bytesPerSecond: sum };
}

function byMove(run: Run, id: string): Total[] {
  return run.eachMove.map(({ epochMs, bytes }) => ({ epochMs, bytes: bytes.get(id) ?? 0 }));
}

/** What a probe said, and what a move then got. */
export interface ProbeResult {
  readonly probe: { readonly [field: string]: unknown };
  readonly moveBytesPerSecond: number;
}

export async function probeCase({ profile, seconds, seed }: CaseOptions): Promise<ProbeResult> {
  const plan = { seconds: seconds + 3, moves: [{}], frameBytes: FRAME_BYTES, probe: true };
  const run = await runShared({ profile, seed, plan, tcpSeconds: 0 });
  const startMs = run.moves[0]?.epochMs ?? NaN;
  const probe = run.trace.find((line) => line.probe !== undefined)?.probe;
  return {
    probe: probe as ProbeResult["probe"],
    moveBytesPerSecond: rateBetween(run.moves, startMs + 2_000, startMs + 2_000 + seconds * 1000),
  };
}
