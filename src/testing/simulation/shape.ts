import type { PageLimits } from "../../image/page_memory.ts";
import type { z } from "zod";
import type { migrationOptions } from "../../migration/options.ts";
import type { Dice } from "./dice.ts";
import type { PathShape } from "./network.ts";
import type { SiteShape } from "./site.ts";

/** What an operator does by himself in a run. */
export interface OperatorShape {
  /** The machine stands still when it is moved, and has to arrive so. */
  readonly pausesMachine: boolean;
  /** After the end one more move, without faults, has to work. */
  readonly movesAtEnd: boolean;
  /** Share of completed moves that are rolled back before anything else. */
  readonly rollbackRatio: number;
  /** In place of what is drawn for each move. */
  readonly options?: z.input<typeof migrationOptions>;
}

export interface Shape {
  /** When faults stop. */
  readonly horizonMs: number;
  readonly path: PathShape;
  readonly sites: Readonly<Record<"a" | "b", SiteShape>>;
  readonly operator: OperatorShape;
}

const KIB = 1024;

const PLAIN_SITE: SiteShape = {
  callMsMax: 2,
  groupMs: 5,
  holds: true,
  workload: { everyMs: 60, pagesMax: 3, unitsMax: 1, packs: true },
  pages: { pageImageBytesMax: 1024 * KIB, pagePoolBytesMax: 1024 * KIB, memoryAtRest: "never" },
  dials: true,
  launches: false,
  reusesMonitors: false,
};

/** A world without anything special, for a plan of faults that is written by hand. */
export const PLAIN_SHAPE: Shape = {
  horizonMs: 10_000,
  path: {
    delayMs: 10,
    jitterMs: 0,
    bytesPerSecond: null,
    duplicateRatio: 0,
    knowsBottleneck: true,
  },
  sites: { a: PLAIN_SITE, b: PLAIN_SITE },
  operator: {
    pausesMachine: false,
    movesAtEnd: true,
    rollbackRatio: 0,
    options: { maxDowntimeMs: 3_000 },
  },
};

const TIGHT: OperatorShape["options"] = {
  maxDowntimeMs: 400,
  whenOver: ["throttleDisks", "throttleCpu", "ask", "wait"],
};

/** How the world of one seed is. */
export function shapeOf(dice: Dice): Shape {
  const dialling = dice.pick(["both", "both", "a", "b"]);
  const delayMs = dice.pick([1, 10, 40, 150, 300]);
  const callMsMax = dice.pick([1, 5, 20, 60, 200]);
  const holds = dice.chance(0.9);
  const launches = dice.chance(0.3);
  const reusesMonitors = dice.chance(0.5);
  const isBusy = dice.chance(0.7);
  // It writes more than the link carries, for long enough that something is done about it.
  const isTight = dice.chance(0.05);
  const workload = isTight ? { everyMs: 30, pagesMax: 8, unitsMax: 4, packs: false } : {
    packs: true,
    everyMs: dice.between(40, 250),
    pagesMax: isBusy ? dice.below(6) : 1,
    unitsMax: isBusy ? dice.below(4) : 0,
  };
  const pages: PageLimits = {
    pageImageBytesMax: dice.chance(0.3) ? 8 * KIB : 1024 * KIB,
    pagePoolBytesMax: dice.chance(0.3) ? 4 * KIB : 1024 * KIB,
    memoryAtRest: "never",
  };
  const bytesPerSecond = isTight
    ? dice.between(60_000, 150_000)
    : dice.chance(0.4)
    ? null
    : 60_000 * 100 ** dice.nextRatio();
  const site = (name: "a" | "b"): SiteShape => ({
    callMsMax: dice.chance(0.7) ? callMsMax : dice.pick([1, 5, 20]),
    groupMs: dice.chance(0.8) ? dice.between(1, 25) : dice.between(25, 250),
    holds,
    workload,
    pages,
    dials: dialling === "both" || dialling === name,
    launches,
    reusesMonitors,
  });
  return {
    // The switch of the first move should come before.
    horizonMs: 5_000 + 10 * delayMs + 20 * callMsMax + dice.nextRatio() ** 2 * 8_000 +
      (isTight ? 20_000 : 0),
    path: {
      delayMs,
      jitterMs: dice.chance(0.5) ? 0 : dice.between(0, 60),
      bytesPerSecond,
      duplicateRatio: dice.chance(0.8) ? 0 : 0.05,
      // A move over a slow path whose rate is known waits for a switch that fits, which never comes.
      knowsBottleneck: (bytesPerSecond ?? Infinity) > 400_000 && dice.chance(0.5),
    },
    sites: { a: site("a"), b: site("b") },
    operator: {
      pausesMachine: dice.chance(0.08),
      movesAtEnd: dice.chance(0.3),
      rollbackRatio: 0.3,
      ...(isTight ? { options: TIGHT } : {}),
    },
  };
}
