import { type Arena, bothWays, crossed, type SiteName, type WireCount } from "./arena.ts";
import type { Machine, MachineEnd } from "./machine.ts";

/** What one move, or an attempt at one, cost. */
export interface Cost {
  /** IP packets that left the bottleneck, both directions, headers included. */
  readonly wireBytes: number;
  /** The same by direction; what flows against the machine is acknowledgements. */
  readonly wire: WireCount;
  readonly totalMs: number;
  /** By the contestant's own account; null where it gives none. */
  readonly memoryBytes: number | null;
  readonly diskBytes: number | null;
  /** False where the machine had to be stopped or switched by force: it would not come to an end. */
  readonly converged: boolean;
  /** Further figures of the contestant's own, for the record. */
  readonly detail: Record<string, unknown>;
}

/** Somebody who moves machines between the two sites. */
export interface Contestant extends AsyncDisposable {
  readonly name: string;
  /**
   * Moves a machine and its disk. It runs at `end` afterwards; the QEMU that it left stands still at
   * the state it had at the switch, until the caller says `machine.arrivedAt(end)`.
   */
  move(machine: Machine, to: SiteName): Promise<{ cost: Cost; end: MachineEnd }>;
  /** Sends everything, then cancels: the machine runs on where it is. */
  cancelledMove(machine: Machine, to: SiteName): Promise<Cost>;
}

export interface Patience {
  /** A move that has not come to an end by itself after this time is ended by force. */
  readonly convergenceMs: number;
  readonly timeLimitMs: number;
}

/** Packets that are still on their way when a move reports its end belong to it. */
const TAIL_MS = 1_000;

export type Metered = Pick<Cost, "wireBytes" | "wire" | "totalMs">;

/** What crosses the link while `work` runs. */
export async function metered<T>(
  arena: Arena,
  work: () => Promise<T>,
): Promise<{ value: T; meter: Metered }> {
  const before = await arena.wire();
  const startMs = performance.now();
  const value = await work();
  const totalMs = Math.round(performance.now() - startMs);
  await new Promise((resolve) => setTimeout(resolve, TAIL_MS));
  const wire = crossed(before, await arena.wire());
  return { value, meter: { wireBytes: bothWays(wire), wire, totalMs } };
}
