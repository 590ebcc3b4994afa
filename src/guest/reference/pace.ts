import { TICK_MS } from "./units.ts";

/** What a disk may write at once after it wrote nothing for a while, as QEMU's limits have it. */
const BURST_MS = 100;

/** Which processes of the machine a tick of time lets run. */
export interface Turn {
  readonly memory: boolean;
  readonly disks: boolean;
}

/**
 * How much of the machine each tick of time runs, where it is held back.
 *
 * Without limits each tick runs all of it. Less processor time leaves out ticks of both processes;
 * a cap on the disks leaves out ticks of the one that writes them: what it has issued waits with it.
 */
export class Pace {
  #share = 0;
  #credit = 0;
  #diskBytesPerSecond: number | null = null;
  #diskAllowanceBytes = 0;

  /** Share of its processor time that is taken away from the machine. */
  get cpuThrottleShare(): number {
    return this.#share;
  }

  /** @param share 0 to 0.99 */
  throttleCpu(share: number): void {
    this.#share = share;
  }

  /** @param bytesPerSecond null for no cap */
  capDisks(bytesPerSecond: number | null): void {
    this.#diskBytesPerSecond = bytesPerSecond;
    this.#diskAllowanceBytes = 0;
  }

  /** The next tick of time. */
  next(): Turn {
    this.#credit += 1 - this.#share;
    const bytesPerSecond = this.#diskBytesPerSecond;
    if (bytesPerSecond !== null) {
      this.#diskAllowanceBytes = Math.min(
        bytesPerSecond * BURST_MS / 1000,
        this.#diskAllowanceBytes + bytesPerSecond * TICK_MS / 1000,
      );
    }
    // Sums of such shares miss 1 by a rounding error.
    if (this.#credit < 1 - 1e-9) return { memory: false, disks: false };
    this.#credit -= 1;
    return { memory: true, disks: bytesPerSecond === null || this.#diskAllowanceBytes > 0 };
  }

  /** The disks have written this much in their turn; what is too much is waited for. */
  wrote(bytes: number): void {
    this.#diskAllowanceBytes -= bytes;
  }
}
