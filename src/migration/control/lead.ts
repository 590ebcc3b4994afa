import type { Measurement } from "./measurement.ts";

/** Wire bytes for each byte of memory, before a copy of it has shown better. */
const WIRE_RATIO_ASSUMED = 0.45;
/** Round trips from the start of the stream until the first look at what remains. */
const ROUND_TRIPS = 4;
/** A machine that writes nearly as much as the link carries never gets nearer than this. */
const LOAD_RATIO_MAX = 0.8;

/** By how much earlier than the lead time memory is started before a window. */
const MARGIN_RATIO = 0.25;
const MARGIN_MS = 10_000;

/**
 * How long memory takes from its start until the machine could switch: one copy at the goodput,
 * longer by what the machine writes meanwhile. What an earlier copy in the same move has shown is
 * remembered.
 */
export class LeadTime {
  #wireRatio = WIRE_RATIO_ASSUMED;
  #dirtyBytesPerSecond = 0;

  /** @param dirtyBytesPerSecond on the wire; null while unknown */
  learn({ memory }: Measurement, dirtyBytesPerSecond: number | null): void {
    if (memory === null) return;
    // Later passes carry differences, not first copies.
    if (memory.pass <= 1 && memory.readBytes > memory.totalBytes / 4) {
      this.#wireRatio = memory.wireRatio;
    }
    if (dirtyBytesPerSecond !== null) this.#dirtyBytesPerSecond = dirtyBytesPerSecond;
  }

  /** From a start now, ms. */
  ofStart({ memoryTotalBytes, path }: Measurement, goodputBytesPerSecond: number): number {
    const goodput = Math.max(1, goodputBytesPerSecond);
    const load = Math.min(LOAD_RATIO_MAX, this.#dirtyBytesPerSecond / goodput);
    const copyMs = memoryTotalBytes * this.#wireRatio / goodput * 1000 / (1 - load);
    return copyMs + ROUND_TRIPS * (path.roundTripMs ?? 0);
  }
}

/** How long before a window memory has to start. */
export function leadWithMargin(leadMs: number): number {
  return leadMs * (1 + MARGIN_RATIO) + MARGIN_MS;
}
