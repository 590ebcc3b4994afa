import type { Dice } from "./dice.ts";

export type SiteName = "a" | "b";

/** When a fault comes: at a time, or at a durable write or a call to a machine, before or after it. */
export type Anchor =
  | { readonly at: "time"; readonly ms: number }
  | {
    readonly at: "write" | "call";
    readonly site: SiteName;
    /** Kind of the ledger's event, or name of the call. */
    readonly name: string;
    /** The how manieth, from 1. */
    readonly nth: number;
    readonly phase: "before" | "after";
  };

export const FAULT_KINDS = [
  "crash",
  "crashBoth",
  "stopGateway",
  "powerLoss",
  "killMachine",
  "loseMonitor",
  "breakStream",
  "failCall",
  "diskFull",
  "diskIo",
  "ledgerFails",
  "freeze",
  "wallJump",
  "cut",
  "tear",
  "stall",
  "outageCut",
  "outageSilent",
  "slowPath",
  "duplicates",
  "cancel",
  "hold",
  "switchover",
  "rollback",
  "change",
  "answer",
  "rashVerdict",
  "fencedVerdict",
  "startByHand",
] as const;
export type FaultKind = typeof FAULT_KINDS[number];

export interface Fault {
  readonly number: number;
  readonly kind: FaultKind;
  readonly anchor: Anchor;
  /** From the anchor to the fault; 0 is in the middle of what it is anchored at. */
  readonly delayMs: number;
  readonly site: SiteName;
  /** Where its anchor is not reached until then, it comes with the next write or call at all. */
  readonly latestMs?: number;
  /** How long it lasts, where it lasts. */
  readonly lastsMs: number;
}

/** Every durable write of a move, by the kind of its event, and those beside it. */
export const WRITE_KINDS = [
  "putGuest",
  "claim",
  "putReport",
  "created",
  "began",
  "noted",
  "switchBegan",
  "paused",
  "switchUndone",
  "handoverWritten",
  "ranAtPeer",
  "refusedByPeer",
  "undoBegan",
  "undone",
  "retired",
  "adjudicated",
  "prepared",
  "roundRecorded",
  "handoverReceived",
  "owned",
  "started",
  "refused",
  "abandoned",
] as const;

const SWITCH_WRITES = [
  "switchBegan",
  "paused",
  "handoverWritten",
  "handoverReceived",
  "owned",
  "started",
  "ranAtPeer",
  "refused",
  "retired",
] as const;

const DESTINATION_WRITES: ReadonlySet<string> = new Set([
  "prepared",
  "roundRecorded",
  "handoverReceived",
  "owned",
  "started",
  "refused",
  "abandoned",
]);

const CALLS = [
  "describe",
  "runState",
  "source.begin",
  "source.beginDiskRound",
  "round.read",
  "round.finish",
  "source.startMemory",
  "source.dirtyDisks",
  "source.throttleDisks",
  "memory.items",
  "memory.throttleCpu",
  "memory.pauseAtGate",
  "memory.gate",
  "memory.finish",
  "memory.finished",
  "memory.cancel",
  "source.restore",
  "source.retire",
  "destination.prepare",
  "destination.readDisk",
  "destination.writeDisk",
  "destination.flushDisks",
  "destination.writeMemory",
  "destination.resetMemory",
  "destination.sealDisks",
  "destination.load",
  "destination.start",
  "destination.abandon",
] as const;

/** Calls of which a move has many. */
const OFTEN: ReadonlySet<string> = new Set([
  "memory.items",
  "round.read",
  "destination.writeDisk",
  "destination.writeMemory",
]);

/** Before the end of a disk round: what is written is not on storage yet. */
const COPY_CALLS = ["round.read", "destination.writeDisk", "destination.writeDisk"] as const;

const SWITCH_CALLS = [
  "memory.gate",
  "memory.finish",
  "memory.finished",
  "destination.sealDisks",
  "destination.load",
  "destination.start",
  "destination.abandon",
  "source.restore",
  "source.retire",
] as const;

/** How often each kind comes; what ends the machine itself leaves little to look at. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  crash: 30,
  crashBoth: 5,
  stopGateway: 3,
  powerLoss: 2,
  killMachine: 5,
  loseMonitor: 6,
  breakStream: 4,
  failCall: 5,
  diskFull: 2,
  diskIo: 2,
  ledgerFails: 7,
  freeze: 6,
  wallJump: 3,
  cut: 10,
  tear: 5,
  stall: 6,
  outageCut: 8,
  outageSilent: 10,
  slowPath: 4,
  duplicates: 5,
  cancel: 9,
  hold: 4,
  switchover: 4,
  rollback: 2,
  change: 5,
  answer: 2,
  rashVerdict: 2,
  fencedVerdict: 3,
  startByHand: 1,
};

/** Somebody decides about a doubt. */
export function isVerdict(kind: FaultKind): boolean {
  return kind === "rashVerdict" || kind === "fencedVerdict";
}

type Moment = readonly [at: "write" | "call", names: readonly string[]];

/** Where faults come that mean nothing at most other times. */
const MOMENTS: Partial<Readonly<Record<FaultKind, Moment>>> = {
  breakStream: ["call", ["memory.items", "memory.gate", "memory.finish"]],
  cancel: ["call", ["memory.items", "memory.gate", "round.read", ...COPY_CALLS]],
  answer: ["call", ["memory.items", "memory.throttleCpu", "source.throttleDisks"]],
  change: ["call", ["memory.items", "round.read", "destination.writeDisk"]],
  diskFull: ["call", ["destination.writeDisk", "destination.flushDisks"]],
  diskIo: ["call", ["destination.writeDisk", "destination.flushDisks"]],
  hold: ["call", ["memory.items", "round.read"]],
  outageSilent: ["write", ["switchBegan", "paused", "handoverWritten", "handoverReceived"]],
  rollback: ["call", ["memory.items", "memory.gate", "destination.load"]],
  switchover: ["call", ["memory.items", "round.read"]],
  rashVerdict: ["write", ["handoverWritten", "handoverReceived", "owned", "refused"]],
  fencedVerdict: ["write", ["handoverWritten", "handoverReceived", "owned", "refused"]],
  startByHand: ["call", ["destination.load"]],
};

/**
 * Faults of one run, drawn from its seed.
 *
 * @param turn the first one's kind, by its place in `FAULT_KINDS`, so that neighbours have all kinds
 */
export function planFaults(dice: Dice, horizonMs: number, turn: number): Fault[] {
  const count = dice.chance(0.04) ? 0 : 1 + Math.floor(dice.nextRatio() ** 1.5 * 7);
  const faults: Fault[] = [];
  for (let i = 0; i < count; i++) {
    const kind = i === 0 ? FAULT_KINDS[turn % FAULT_KINDS.length] : dice.weighted(WEIGHTS);
    const anchor = anchorOf(dice, kind, horizonMs);
    // Of these the moment is all.
    const waits = isVerdict(kind) || kind === "startByHand" || anchor.at === "time";
    const fault: Fault = {
      number: faults.length,
      kind,
      anchor,
      delayMs: kind === "startByHand" || dice.chance(0.6) && !isVerdict(kind)
        ? 0
        : dice.nextRatio() ** 2 * 600,
      latestMs: waits ? undefined : horizonMs * dice.between(0.35, 0.75),
      // Most often the site at whose doing it is anchored.
      site: anchor.at !== "time" && (kind === "startByHand" || dice.chance(0.7))
        ? anchor.site
        : dice.pick(["a", "b"]),
      lastsMs: dice.chance(0.7) ? dice.between(20, 4_000) : dice.between(1_000, 20_000),
    };
    faults.push(fault);
    // Somebody decides because he sees a doubt, which has to last until then.
    if (isVerdict(kind) && dice.chance(0.8)) {
      const outage = dice.pick<FaultKind>(["outageCut", "outageSilent"]);
      faults.push({ ...fault, number: faults.length, kind: outage, delayMs: 0 });
    }
  }
  return faults;
}

function anchorOf(dice: Dice, kind: FaultKind, horizonMs: number): Anchor {
  const moment = MOMENTS[kind];
  const isOnlyThen = isVerdict(kind) || kind === "startByHand";
  if (moment !== undefined && (isOnlyThen || dice.chance(0.75))) {
    return at(dice, moment[0], dice.pick(moment[1]));
  }
  if (dice.chance(0.25)) return { at: "time", ms: dice.nextRatio() * horizonMs };
  if (dice.chance(0.3)) return at(dice, "call", dice.pick(COPY_CALLS));
  // The switch is short: what falls into it by chance would be too little.
  const isSwitch = dice.chance(0.6);
  return dice.chance(0.5)
    ? at(dice, "write", dice.pick(isSwitch ? SWITCH_WRITES : WRITE_KINDS))
    : at(dice, "call", dice.pick(isSwitch ? SWITCH_CALLS : CALLS));
}

function at(dice: Dice, kind: "write" | "call", name: string): Anchor {
  // The first move leads from a to b.
  const usual = kind === "write"
    ? DESTINATION_WRITES.has(name) ? "b" : "a"
    : name.startsWith("destination.")
    ? "b"
    : "a";
  return {
    at: kind,
    name,
    site: dice.chance(0.75) ? usual : usual === "a" ? "b" : "a",
    phase: dice.pick<"before" | "after">(["before", "after"]),
    nth: OFTEN.has(name)
      ? 1 + Math.floor(dice.nextRatio() ** 1.5 * 30)
      : dice.chance(0.75)
      ? 1
      : 1 + dice.below(6),
  };
}
