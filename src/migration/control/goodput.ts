import { GOODPUT_BYTES_PER_SECOND_ASSUMED } from "./forecast.ts";
import type { Measurement } from "./measurement.ts";

/** What the move itself got is believed over this long of an unbroken queue, ms. */
const SEEN_MS = 3_000;
/** Something counts as waiting above what leaves in this time. */
const WAITING_MS = 50;
/** A cap that is used up to this share says nothing about what lies above it. */
const CAP_USED_RATIO = 0.85;
/** Room above what was seen: the link may carry a little more than one window shows. */
const SEEN_HEADROOM = 1.05;

/**
 * What the link gives this move: the bottleneck as the link measures it, never more than the cap, and
 * no more than what was carried while something waited all the time, because other moves, other
 * traffic or this computer may be what limits it.
 */
export class Goodput {
  readonly #samples: { readonly atMs: number; readonly appliedBytes: number }[] = [];
  /** Carried with something waiting all the time: no more than this. */
  #mostBytesPerSecond: number | null = null;
  /** A cap counts headers and repeats as well: of it, this was for the move. */
  #capYield = 1;
  /** Was carried over a second, whatever limited it: at least this. */
  #leastBytesPerSecond = 0;

  /**
   * @param appliedBytesPerSecond by the peer over the last second
   * @param waitingBytes wire bytes that wait for the link
   * @param capBytesPerSecond in force since the measurement before
   */
  observe(
    judgedMs: number,
    { appliedWireBytes, path }: Measurement,
    { appliedBytesPerSecond, waitingBytes, capBytesPerSecond }: {
      readonly appliedBytesPerSecond: number;
      readonly waitingBytes: number;
      readonly capBytesPerSecond: number | null;
    },
  ): void {
    this.#leastBytesPerSecond = Math.max(this.#leastBytesPerSecond, appliedBytesPerSecond);
    const pathBytesPerSecond = path.bottleneckBytesPerSecond ?? GOODPUT_BYTES_PER_SECOND_ASSUMED;
    const limit = Math.min(pathBytesPerSecond, capBytesPerSecond ?? Infinity);
    if (waitingBytes < limit * WAITING_MS / 1000) {
      this.#samples.length = 0;
      this.#mostBytesPerSecond = null;
      return;
    }
    this.#samples.push({ atMs: judgedMs, appliedBytes: appliedWireBytes });
    while (this.#samples.length > 2 && this.#samples[1].atMs <= judgedMs - SEEN_MS) {
      this.#samples.shift();
    }
    const first = this.#samples[0];
    const spanMs = judgedMs - first.atMs;
    if (spanMs < SEEN_MS) return;
    const seen = (appliedWireBytes - first.appliedBytes) * 1000 / spanMs;
    const isCapped = capBytesPerSecond !== null && seen >= CAP_USED_RATIO * capBytesPerSecond;
    this.#mostBytesPerSecond = isCapped ? null : Math.max(1, seen * SEEN_HEADROOM);
    if (isCapped) this.#capYield = Math.min(1, seen / capBytesPerSecond);
    // A path that carries less than it did is known anew.
    this.#leastBytesPerSecond = seen;
  }

  /** There was a gap. What the path carried before it is the best guess until it is seen again. */
  forget(): void {
    this.#samples.length = 0;
    this.#mostBytesPerSecond = null;
  }

  /** @param capBytesPerSecond of the time asked about; null is none */
  bytesPerSecond({ path }: Measurement, capBytesPerSecond: number | null): number {
    const most = this.#mostBytesPerSecond ?? Infinity;
    const assumed = Math.max(GOODPUT_BYTES_PER_SECOND_ASSUMED, this.#leastBytesPerSecond);
    // A link that is always capped never learns its bottleneck.
    const carried = path.bottleneckBytesPerSecond ?? (most === Infinity ? assumed : most);
    return Math.min(carried, most, (capBytesPerSecond ?? Infinity) * this.#capYield);
  }
}
