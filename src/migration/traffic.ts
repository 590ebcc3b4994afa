import { NAME_BYTES, UNIT_BYTES } from "../image/content_name.ts";
import { type EncoderTotals, noTotals, TECHNIQUES } from "../codec/techniques.ts";
import { noSavedBytes, type SavedBytes } from "./report.ts";

/** Window over which a compression ratio is remembered, in raw bytes. */
const RATIO_WINDOW_BYTES = 8 * 1024 * 1024;
/** With less a ratio is not known. */
const RATIO_BYTES_MIN = 65_536;

/** A part of a disk round: `offeredBytes` is `dataBytes` and all that was saved. */
interface DiskPart {
  readonly offeredBytes: number;
  readonly dataBytes: number;
  readonly saved: Pick<SavedBytes, "hole" | "zero" | "unchanged" | "warm">;
}

/** What one kind of payload (memory or disk) has cost so far, and what it costs lately. */
export class TrafficMeter {
  /**
   * Offered content but zero pages. With `saved.zero` and `saved.free` it is `payloadBytes` and all
   * of `saved` together.
   */
  rawBytes = 0;
  payloadBytes = 0;
  readonly saved: SavedBytes = noSavedBytes();
  /** What the present encoder had said when it was followed last. */
  #followed: EncoderTotals = noTotals();
  #packingDebtBytes = 0;
  readonly #recent = new RecentRatio();
  readonly #changed = new RecentRatio();

  /** What an earlier process had saved. */
  resumeFrom(saved: SavedBytes): void {
    Object.assign(this.saved, saved);
  }

  /**
   * A part of a disk round went into a frame of `payloadBytes`, or needed none: 0.
   *
   * @param namedBytes of its data, that names took the place of, less the names
   */
  sentDisk(
    { offeredBytes, dataBytes, saved }: DiskPart,
    payloadBytes: number,
    namedBytes = 0,
  ): void {
    this.payloadBytes += payloadBytes;
    this.saved.hole += saved.hole;
    this.saved.zero += saved.zero;
    this.saved.unchanged += saved.unchanged;
    this.saved.warm += saved.warm;
    this.saved.duplicate += namedBytes;
    this.#packed(dataBytes - namedBytes - payloadBytes);
    // Without holes: progress and forecasts are about what has to be read.
    this.rawBytes += offeredBytes - saved.hole;
    // What was there before, and zeroes of a first copy, say nothing of what is written later, nor
    // do names: the next contents may be unknown.
    const { hole, zero, warm } = saved;
    this.#remember(offeredBytes - hole - zero - warm - namedBytes, payloadBytes);
  }

  /** Takes over what an encoder has done since it was followed last. */
  follow({ offeredBytes, payloadBytes, saved }: EncoderTotals): void {
    const before = this.#followed;
    this.#followed = { offeredBytes, payloadBytes, saved: { ...saved } };
    for (const name of TECHNIQUES) {
      if (name !== "compression") this.saved[name] += saved[name] - before.saved[name];
    }
    this.#packed(saved.compression - before.saved.compression);
    const zeroBytes = saved.zero - before.saved.zero;
    const rawBytes = offeredBytes - before.offeredBytes - zeroBytes;
    const sentBytes = payloadBytes - before.payloadBytes;
    this.rawBytes += rawBytes;
    this.payloadBytes += sentBytes;
    // A page is kept once; what it becomes when it is written again costs as much as any other.
    const freshBytes = rawBytes - (saved.warm - before.saved.warm);
    this.#remember(freshBytes, sentBytes);
    const unchangedBytes = saved.unchanged - before.saved.unchanged;
    this.#changed.add(freshBytes - unchangedBytes, sentBytes);
  }

  /** Pages that were written again before they left: offered, never sent. */
  replaced(bytes: number): void {
    this.rawBytes += bytes;
    this.saved.replaced += bytes;
  }

  /** Pages that the machine called free and its stream never named: neither offered nor sent. */
  leftOut(bytes: number): void {
    this.saved.free = bytes;
  }

  /** Contents that were named, were asked for, and crossed after all. */
  needed(contentCount: number, payloadBytes: number): void {
    const bytes = contentCount * (UNIT_BYTES - NAME_BYTES);
    this.saved.duplicate -= bytes;
    this.payloadBytes += payloadBytes;
    this.#packed(bytes - payloadBytes);
  }

  /** Below 0 while frames are mostly description; what is said of it waits until it is paid back. */
  #packed(bytes: number): void {
    const sum = this.saved.compression + this.#packingDebtBytes + bytes;
    this.saved.compression = Math.max(0, sum);
    this.#packingDebtBytes = Math.min(0, sum);
  }

  #remember(rawBytes: number, payloadBytes: number): void {
    this.#recent.add(rawBytes, payloadBytes);
  }

  /** Payload bytes for each raw byte of late; 1 while nothing is known. */
  get ratio(): number {
    return this.#recent.ratio;
  }

  /** The same for what has changed: pages that the destination had already do not count. */
  get changedRatio(): number {
    return this.#changed.ratio;
  }
}

class RecentRatio {
  #rawBytes = 0;
  #payloadBytes = 0;

  add(rawBytes: number, payloadBytes: number): void {
    this.#rawBytes += rawBytes;
    this.#payloadBytes += payloadBytes;
    if (this.#rawBytes > RATIO_WINDOW_BYTES) {
      this.#rawBytes /= 2;
      this.#payloadBytes /= 2;
    }
  }

  get ratio(): number {
    return this.#rawBytes < RATIO_BYTES_MIN ? 1 : this.#payloadBytes / this.#rawBytes;
  }
}
