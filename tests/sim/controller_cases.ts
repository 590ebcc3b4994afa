/**
 * Seeded moves for the controller's simulation: loads from idle to ten times the link, paths of all
 * WAN profiles and others with outages and other traffic, and everything that an operator can wish.
 */
import { Random } from "../../src/core/random.ts";
import { parseProfile } from "../../src/emulator/profile.ts";
import { segmentsOf } from "../../src/emulator/timeline.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import {
  type MachineModel,
  machineModel,
  type PathModel,
  type RunOptions,
  steadyPath,
} from "../../src/migration/control/model.ts";
import { REMEDIES_DEFAULT, type Remedy, type Wishes } from "../../src/migration/control/wishes.ts";

/** One move of the simulation; the same for the same seed. */
export interface Case {
  readonly seed: number;
  readonly machine: MachineModel;
  readonly path: PathModel;
  readonly wishes: Wishes;
  readonly options: RunOptions;
  /** Neither load, path nor wishes change while it runs. */
  readonly isConstant: boolean;
}

const START_WALL_MS = Date.UTC(2024, 0, 2, 23, 50);
/** Headers, pacing and repeats take this much of a link; loss about five times its ratio. */
const PAYLOAD_RATIO = 0.92;
const LOSS_COST = 5;
const MEMORY_BYTES_MIN = 16 * 1024 * 1024;

const PROFILES = new URL("../../wan-profiles/", import.meta.url);
const profiles = [...Deno.readDirSync(PROFILES)]
  .filter(({ name }) => name.endsWith(".json"))
  .map(({ name }) => parseProfile(Deno.readTextFileSync(new URL(name, PROFILES)), name))
  .toSorted((left, right) => left.name < right.name ? -1 : 1);

/** A path of the model from a profile's forward direction. */
export function pathOf(profile: WanProfile): PathModel {
  const backMs = profile.backward.delayMs;
  const segments = segmentsOf(profile, "forward").map(({ startMs, settings, outage }) => ({
    fromMs: startMs,
    bytesPerSecond: settings.rateBitsPerSecond / 8 * PAYLOAD_RATIO *
      (1 - LOSS_COST * settings.lossRatio),
    roundTripMs: settings.delayMs + backMs,
    isDark: outage !== null,
  }));
  const { rateBitsPerSecond, queueBytes, jitterMs, lossRatio } = profile.forward;
  return {
    segments,
    periodMs: profile.timelinePeriodMs,
    jitterMs,
    lossRatio,
    queueMs: queueBytes * 8000 / rateBitsPerSecond,
    others: null,
  };
}

/** The case of a seed. */
export function caseOf(seed: number): Case {
  const draw = new Draw(seed);
  const path = drawPath(draw);
  const linkBytesPerSecond = path.segments[0].bytesPerSecond;
  const machine = drawMachine(draw, linkBytesPerSecond);
  const wishes = drawWishes(draw, linkBytesPerSecond);
  const options = drawOptions(draw, wishes);
  const isConstant = path.segments.length === 1 && machine.phases === null &&
    (options.changes ?? []).length === 0 && path.others?.kind !== "greedy" &&
    (path.others === null || (path.others.fromMs === 0 && path.others.untilMs === Infinity)) &&
    !(typeof wishes.rate === "object" && wishes.rate?.policy === "schedule");
  return { seed, machine, path, wishes, options, isConstant };
}

class Draw {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed, "case");
  }

  chance(ratio: number): boolean {
    return this.#random.chance(ratio);
  }

  between(least: number, most: number): number {
    return least + this.#random.nextRatio() * (most - least);
  }

  /** Each factor as likely as another. */
  scale(least: number, most: number): number {
    return least * Math.pow(most / least, this.#random.nextRatio());
  }

  of<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random.nextRatio() * values.length)];
  }

  shuffled<T>(values: readonly T[]): T[] {
    return values.map((value) => ({ value, at: this.#random.nextRatio() }))
      .toSorted((left, right) => left.at - right.at).map(({ value }) => value);
  }
}

function drawPath(draw: Draw): PathModel {
  if (draw.chance(0.3)) return pathOf(draw.of(profiles));
  const path = steadyPath(draw.scale(0.6e6, 25e6), draw.scale(2, 600), {
    jitterMs: draw.chance(0.3) ? draw.between(0, 10) : 0,
    queueMs: draw.scale(20, 500),
  });
  if (draw.chance(0.2)) {
    const kind = draw.of(["steady", "greedy"] as const);
    const share = kind === "greedy" ? 1 : draw.between(0.1, 0.85);
    const isAlways = draw.chance(0.6);
    const fromMs = isAlways ? 0 : draw.between(0, 60_000);
    const untilMs = isAlways ? Infinity : fromMs + draw.between(5_000, 60_000);
    return { ...path, others: { kind, share, fromMs, untilMs } };
  }
  return draw.chance(0.3) ? withEvents(draw, path) : path;
}

/** Outages, and stretches in which the path is slower. */
function withEvents(draw: Draw, path: PathModel): PathModel {
  const [steady] = path.segments;
  const segments = [steady];
  let atMs = draw.between(1_000, 60_000);
  for (let events = draw.of([1, 2, 3]); events > 0; events--) {
    const isDark = draw.chance(0.6);
    const slower = steady.bytesPerSecond * draw.between(0.2, 0.9);
    const bytesPerSecond = isDark ? steady.bytesPerSecond : slower;
    segments.push({ ...steady, fromMs: atMs, isDark, bytesPerSecond });
    atMs += isDark ? draw.scale(100, 30_000) : draw.between(2_000, 60_000);
    segments.push({ ...steady, fromMs: atMs });
    atMs += draw.between(2_000, 60_000);
  }
  return { ...path, segments };
}

function drawMachine(draw: Draw, linkBytesPerSecond: number): MachineModel {
  const memoryWireRatio = draw.between(0.15, 0.9);
  const rewriteWireRatio = draw.between(0.05, 0.6);
  const diskWireRatio = draw.between(0.2, 1);
  const copyMs = draw.scale(1_000, 40_000);
  const copiedBytes = linkBytesPerSecond * copyMs / 1000 / memoryWireRatio;
  const memoryBytes = Math.round(Math.max(MEMORY_BYTES_MIN, copiedBytes));
  const written = Array.from({ length: draw.of([0, 1, 1, 1, 2]) }, () => ({
    bytes: Math.round(memoryBytes * draw.scale(0.002, 0.45)),
    bytesPerSecond: draw.scale(0.02, 10) * linkBytesPerSecond / rewriteWireRatio,
  }));
  const disks = Array.from({ length: draw.of([0, 0, 1, 1, 2]) }, (_, index) => ({
    id: `disk${index}`,
    allocatedBytes: Math.round(memoryBytes * draw.between(0, 0.5)),
    written: {
      bytes: Math.round(memoryBytes * draw.scale(0.01, 1)),
      bytesPerSecond: draw.chance(0.3)
        ? 0
        : draw.scale(0.01, 3) * linkBytesPerSecond / diskWireRatio,
    },
  }));
  const periodMs = draw.between(2_000, 60_000);
  return machineModel({
    memoryBytes,
    written,
    memoryWireRatio,
    rewriteWireRatio,
    disks,
    diskWireRatio,
    phases: draw.chance(0.15) ? { periodMs, busyMs: periodMs * draw.between(0.2, 0.9) } : null,
    poolBytes: draw.of([8, 64, 256]) * 1024 * 1024,
    isRunning: !draw.chance(0.04),
    canHold: !draw.chance(0.1),
    canThrottleDisks: !draw.chance(0.2),
    canThrottleCpu: !draw.chance(0.2),
    handoverWorkMs: draw.of([60, 90, 90, 250]),
  });
}

function drawWishes(draw: Draw, linkBytesPerSecond: number): Wishes {
  const hold = draw.chance(0.15);
  return {
    maxDowntimeMs: Math.round(draw.scale(60, 5_000)),
    rate: drawRate(draw, linkBytesPerSecond),
    whenOver: drawRemedies(draw),
    hold,
    window: draw.chance(0.1) ? drawWindow(draw) : null,
    switchNow: false,
    holdMemoryMs: draw.of([0, 10_000, 600_000]),
  };
}

function drawRate(draw: Draw, linkBytesPerSecond: number): Wishes["rate"] {
  const some = () => Math.round(linkBytesPerSecond * draw.between(0.2, 1.3));
  switch (draw.of(["none", "none", "none", "fixed", "clark", "fair", "fair", "schedule"])) {
    case "fixed":
      return draw.chance(0.5) ? some() : { policy: "fixed", bytesPerSecond: some() };
    case "clark": {
      const maxBytesPerSecond = some();
      return {
        policy: "clark",
        minBytesPerSecond: Math.ceil(maxBytesPerSecond * draw.between(0.1, 0.9)),
        maxBytesPerSecond,
        incrementBytesPerSecond: Math.ceil(linkBytesPerSecond * draw.between(0.05, 0.5)),
      };
    }
    case "fair":
      return { policy: "fair", maxBytesPerSecond: draw.chance(0.3) ? some() : null };
    case "schedule":
      return {
        policy: "schedule",
        entries: [
          { from: "22:00", until: "23:51", bytesPerSecond: some() },
          { from: "23:51", until: "00:10", days: [2], bytesPerSecond: some() },
        ],
      };
    default:
      return null;
  }
}

function drawRemedies(draw: Draw): readonly Remedy[] {
  if (draw.chance(0.2)) return REMEDIES_DEFAULT;
  const first = draw.shuffled(["throttleDisks", "throttleCpu", "ask"] as const)
    .slice(0, draw.of([0, 1, 2, 3]));
  return [...first, draw.of(["wait", "giveUp"] as const)];
}

function drawWindow(draw: Draw): Wishes["window"] {
  const fromMs = START_WALL_MS + draw.between(-10_000, 240_000);
  const untilMs = fromMs + draw.scale(1_000, 200_000);
  return {
    from: new Date(fromMs).toISOString(),
    until: draw.chance(0.6) ? new Date(untilMs).toISOString() : null,
  };
}

function drawOptions(draw: Draw, { hold, maxDowntimeMs }: Wishes): RunOptions {
  const changes: { atMs: number; wishes: Partial<Wishes> }[] = [];
  const at = () => draw.between(1_000, 120_000);
  if (hold && draw.chance(0.6)) {
    changes.push({
      atMs: at(),
      wishes: draw.chance(0.5) ? { switchNow: true } : { hold: false },
    });
  }
  if (draw.chance(0.05)) changes.push({ atMs: at(), wishes: { maxDowntimeMs: maxDowntimeMs * 2 } });
  if (draw.chance(0.05)) changes.push({ atMs: at(), wishes: { rate: null } });
  if (draw.chance(0.03)) changes.push({ atMs: at(), wishes: { switchNow: true } });
  return {
    strategy: draw.chance(0.04) ? "stop-and-copy" : "precopy",
    changes,
    answer: draw.of([null, { afterMs: 3_000, accept: true }, { afterMs: 3_000, accept: false }]),
    startWallMs: START_WALL_MS,
    horizonMs: 20 * 60_000,
  };
}
