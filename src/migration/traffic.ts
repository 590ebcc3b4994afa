import { NAME_BYTES, UNIT_BYTES } from "../image/content_name.ts";
import { type EncoderTotals, noTotals, TECHNIQUES } from "../codec/techniques.ts";
import { noSavedBytes, type SavedBytes } from "./report.ts";

/** Window over which a compression ratio is remembered, in raw bytes. */
const RATIO_WINDOW_BYTES = 8 * 1024 * 1024;
/** With less a ratio is not known. */
const RATIO_BYTES_MIN = 65_536;

/** What one kind of payload (memory or disk) has cost so far, and what it costs lately. */
export class TrafficMeter {
  rawBytes = 0;
  payloadBytes = 0;
  readonly saved: SavedBytes = noSavedBytes();
  /** What the present encoder had said when it was followed last. */
  #followed: EncoderTotals = noTotals();
  #packingDebtBytes = 0;
  readonly #recent = new RecentRatio();
  readonly #changed = new RecentRatio();

  /** `rawBytes` of content went into `payloadBytes` of frames. */
  sent(rawBytes: number, payloadBytes: number): void {
    this.rawBytes += rawBytes;
    this.payloadBytes += payloadBytes;
    this.saved.compression += Math.max(0, rawBytes - payloadBytes);
    this.#remember(rawBytes, payloadBytes);
  }

  /** Takes over what an encoder has done since it was followed last. */
  follow({ offeredBytes, payloadBytes, saved }: EncoderTotals): void {
    const before = this.#followed;
    this.#followed = { offeredBytes, payloadBytes, saved: { ...saved } };
    for (const name of TECHNIQUES) this.saved[name] += saved[name] - before.saved[name];
    // Below 0 while frames are mostly description; what is said of it waits until it is paid back.
    this.#packingDebtBytes += this.saved.compression;
    this.saved.compression = Math.max(0, this.#packingDebtBytes);
    this.#packingDebtBytes = Math.min(0, this.#packingDebtBytes);
    const zeroBytes = saved.zero - before.saved.zero;
    const rawBytes = offeredBytes - before.offeredBytes - zeroBytes;
    const sentBytes = payloadBytes - before.payloadBytes;
    this.rawBytes += rawBytes;
    this.payloadBytes += sentBytes;
    this.#remember(rawBytes, sentBytes);
    const unchangedBytes = saved.unchanged - before.saved.unchanged;
    this.#changed.add(rawBytes - unchangedBytes, sentBytes);
  }

  /** Pages that were written again before they left: offered, never sent. */
  replaced(bytes: number): void {
    this.rawBytes += bytes;
    this.saved.replaced += bytes;
  }

  /** Bytes that names took the place of; not part of the ratio, the next ones may be unknown. */
  named(savedBytes: number): void {
    this.rawBytes += savedBytes;
    this.saved.duplicate += savedBytes;
  }

  /** Contents that were named, were asked for, and crossed after all. */
  needed(contentCount: number, payloadBytes: number): void {
    const bytes = contentCount * (UNIT_BYTES - NAME_BYTES);
    this.saved.duplicate -= bytes;
    this.saved.compression += bytes - payloadBytes;
    this.payloadBytes += payloadBytes;
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
