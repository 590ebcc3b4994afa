import { type Backlog, backlogOf } from "./backlog.ts";
import { type Flow, Flows, lookSpan } from "./flow.ts";
import { Goodput } from "./goodput.ts";
import { LeadTime } from "./lead.ts";
import { LossSeen } from "./loss_seen.ts";
import type { Measurement } from "./measurement.ts";

/**
 * The pass from which on the machine's account says what is dirty: the second counts with a rate from
 * the first, a long one that hides what is written again and again. A machine that cannot be held
 * pauses after its first.
 */
const IN_STEP_PASS = 3;
const IN_STEP_PASS_UNHELD = 2;

/** What the measurements up to now say. Rates are wire bytes per second. */
export interface Estimate {
  readonly backlog: Backlog;
  /** Of what waits, wire bytes that leave as soon as the link takes them. */
  readonly forTheLinkBytes: number;
  /** Null while too little was seen since the last change. */
  readonly flow: Flow | null;
  readonly appliedBytesPerSecond: number;
  /** What the machine writes that has to cross. */
  readonly dirtyMemoryBytesPerSecond: number;
  readonly dirtyDiskBytesPerSecond: number;
  /** Memory runs, and what is dirty of it is known: the machine could switch. */
  readonly isInStep: boolean;
  /** Of the path's packets in the long run; null while unknown. */
  readonly lossRatio: number | null;
}

/** Turns measurements into what decisions are made from; to be asked only while the link is there. */
export class Estimator {
  readonly #flows = new Flows();
  readonly #goodput = new Goodput();
  readonly #lead = new LeadTime();
  readonly #loss = new LossSeen();

  /** @param capBytesPerSecond in force since the measurement before */
  observe(
    judgedMs: number,
    measured: Measurement,
    capBytesPerSecond: number | null,
  ): Estimate {
    const { memory, stage, path } = measured;
    const flows = this.#flows;
    flows.advance(judgedMs, measured);
    this.#loss.observe(judgedMs, path.lossRatio);
    const { appliedBytesPerSecond } = flows;
    const passAgeMs = flows.passAgeMs(judgedMs);
    const backlog = backlogOf(measured, { appliedBytesPerSecond, passAgeMs });
    const isCopying = stage === "firstRound" || (memory !== null && memory.pass <= 1);
    // Held memory waits in the machine, and disks for their next round: neither for the link.
    const forTheLinkBytes = isCopying
      ? backlog.waitingBytes
      : backlog.parkedBytes + roundBytes(measured);
    this.#goodput.observe(judgedMs, measured, {
      appliedBytesPerSecond,
      waitingBytes: forTheLinkBytes,
      capBytesPerSecond,
    });
    if (stage !== "firstRound") {
      const remainingBytes = backlog.waitingBytes + backlog.onTheWayBytes;
      flows.observe(judgedMs, measured, remainingBytes, forTheLinkBytes);
    }
    const { leastMs, mostMs } = lookSpan(path.roundTripMs, judgedMs);
    const flow = flows.over(leastMs, mostMs);
    const dirty = dirtyOf(measured, flow);
    this.#lead.learn(measured, memory === null || flow === null ? null : dirty.memory + dirty.disk);
    return {
      backlog,
      forTheLinkBytes,
      flow,
      appliedBytesPerSecond,
      dirtyMemoryBytesPerSecond: dirty.memory,
      dirtyDiskBytesPerSecond: dirty.disk,
      isInStep: memory !== null && memory.remainingBytes !== null &&
        memory.pass >= (measured.canHold ? IN_STEP_PASS : IN_STEP_PASS_UNHELD),
      lossRatio: this.#loss.ratio,
    };
  }

  /** @param capBytesPerSecond of the time asked about */
  goodput(measured: Measurement, capBytesPerSecond: number | null): number {
    return this.#goodput.bytesPerSecond(measured, capBytesPerSecond);
  }

  /** From a start of memory now until the machine could switch, ms. */
  leadMs(measured: Measurement, goodputBytesPerSecond: number): number {
    return this.#lead.ofStart(measured, goodputBytesPerSecond);
  }

  /** Something was done about what the machine writes: only what comes after counts. */
  restart(): void {
    this.#flows.restart();
  }

  /** There was a gap, or the stream is another one. */
  forget(): void {
    this.#flows.forget();
    this.#goodput.forget();
    this.#loss.forget();
  }
}

function roundBytes({ disks, diskWireRatio }: Measurement): number {
  return disks.reduce((sum, { remainingBytes }) => sum + remainingBytes, 0) * diskWireRatio;
}

/**
 * What the machine adds, by part. Both sources are lower bounds: the flow lacks what was written again
 * while it waited, the machine's accounts what was written again within a pass or a round.
 */
function dirtyOf(
  { memory, disks, diskWireRatio }: Measurement,
  flow: Flow | null,
): { memory: number; disk: number } {
  const rawDisk = disks.reduce((sum, disk) => sum + (disk.dirtyBytesPerSecond ?? 0), 0);
  const disk = rawDisk * diskWireRatio;
  const counted = (memory?.dirtyBytesPerSecond ?? 0) * (memory?.wireRatio ?? 0);
  const both = counted + disk;
  const more = both <= 0 ? 1 : Math.max(1, (flow?.dirtyBytesPerSecond ?? 0) / both);
  return { memory: counted * more, disk: disk * more };
}
