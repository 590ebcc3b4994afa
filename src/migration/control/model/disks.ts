import type { DiskMeasurement } from "../measurement.ts";
import type { MachineModel } from "./machine_model.ts";

/** A round is worth its round trip above this backlog, or after this long. */
const ROUND_BACKLOG_BYTES = 1024 * 1024;
const ROUND_INTERVAL_MS = 1000;
/** The rate of writes is a mean over this long, ms. */
const RATE_MS = 3_000;

interface DiskState {
  readonly id: string;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  dirty: number;
  remaining: number;
  rate: number;
}

/** The disks as fluids, copied in rounds. */
export class DiskFluid {
  readonly #disks: DiskState[];
  #round = 1;
  #endedAtMs: number | null = null;
  /** The round has been handed over, and the peer has still to record it. */
  #recordedAtMs: number | null = null;

  constructor(private readonly machine: MachineModel) {
    this.#disks = machine.disks.map(({ id, allocatedBytes, written }) => ({
      id,
      ...written,
      dirty: 0,
      remaining: allocatedBytes,
      rate: 0,
    }));
  }

  /** The first round has been recorded. */
  get isFirstRoundOver(): boolean {
    return this.#endedAtMs !== null;
  }

  /** @param capBytesPerSecond of all disks, raw; null is none */
  write(ms: number, factor: number, capBytesPerSecond: number | null): void {
    const wanted = this.#disks.reduce((sum, disk) => sum + disk.bytesPerSecond, 0) * factor;
    const slowed = capBytesPerSecond === null ? 1 : Math.min(1, capBytesPerSecond / wanted);
    for (const disk of this.#disks) {
      const bytesPerSecond = wanted <= 0 ? 0 : disk.bytesPerSecond * factor * slowed;
      const share = disk.bytes <= 0 ? 0 : 1 - Math.exp(-bytesPerSecond * ms / 1000 / disk.bytes);
      const added = (disk.bytes - disk.dirty) * share;
      disk.dirty += added;
      disk.rate += (added * 1000 / ms - disk.rate) * Math.min(1, ms / RATE_MS);
    }
  }

  /** @returns wire bytes that the link took, up to `wireBytes` */
  send(wireBytes: number): number {
    const { diskWireRatio } = this.machine;
    const remaining = this.#remainingBytes;
    const sent = Math.min(wireBytes, remaining * diskWireRatio);
    const share = remaining <= 0 ? 0 : sent / diskWireRatio / remaining;
    for (const disk of this.#disks) disk.remaining -= disk.remaining * share;
    return sent;
  }

  /** Ends a round that is through, and begins the next where it is due. */
  turn(nowMs: number, roundTripMs: number): void {
    if (this.#remainingBytes >= 1) return;
    if (this.#recordedAtMs === null) this.#recordedAtMs = nowMs + roundTripMs;
    if (nowMs < this.#recordedAtMs) return;
    this.#endedAtMs ??= nowMs;
    const dirty = this.dirtyBytes;
    const isDue = nowMs - this.#endedAtMs >= ROUND_INTERVAL_MS;
    if (dirty > ROUND_BACKLOG_BYTES || (dirty > 0 && isDue)) {
      this.beginRound();
      this.#endedAtMs = nowMs;
      this.#recordedAtMs = null;
    }
  }

  beginRound(): void {
    this.#round++;
    for (const disk of this.#disks) {
      disk.remaining += disk.dirty;
      disk.dirty = 0;
    }
  }

  get dirtyBytes(): number {
    return this.#disks.reduce((sum, { dirty }) => sum + dirty, 0);
  }

  get remainingWireBytes(): number {
    return this.#remainingBytes * this.machine.diskWireRatio;
  }

  measure(): DiskMeasurement[] {
    return this.#disks.map(({ id, dirty, remaining, rate }) => ({
      id,
      dirtyBytes: dirty,
      remainingBytes: remaining,
      dirtyBytesPerSecond: rate,
    }));
  }

  get #remainingBytes(): number {
    return this.#disks.reduce((sum, { remaining }) => sum + remaining, 0);
  }
}
