import type { PageRanges } from "../../codec/memory_encoder.ts";

/**
 * Which pages the memory frames change that the destination has not applied yet: what travels whole
 * again when it asks for a repair. As long as the window of the link, some bytes for each page.
 */
export class SentPages {
  #frames: { readonly sequence: number; readonly ranges: PageRanges }[] = [];
  /** The destination asked for a repair from here on: nothing is dropped until it was made. */
  #repairFrom: number | null = null;

  /** True while a repair was asked for and not made. */
  get repairIsDue(): boolean {
    return this.#repairFrom !== null;
  }

  /** Notes a frame; those up to `appliedUpTo` are not needed any more. */
  note(sequence: number, ranges: PageRanges, appliedUpTo: number): void {
    this.#frames.push({ sequence, ranges });
    if (this.repairIsDue) return;
    const kept = this.#frames.findIndex((frame) => frame.sequence > appliedUpTo);
    if (kept > 0) this.#frames.splice(0, kept);
  }

  /** The destination takes no frame from `sequence` on until it is told of a repair. */
  askRepair(sequence: number): void {
    this.#repairFrom = Math.min(sequence, this.#repairFrom ?? Infinity);
  }

  /** The pages that it did not get; asked when no frame of their stream will be numbered any more. */
  takeMissing(): PageRanges[] {
    const from = this.#repairFrom ?? Infinity;
    const missing = this.#frames.filter(({ sequence }) => sequence >= from);
    this.#frames = [];
    this.#repairFrom = null;
    return missing.map(({ ranges }) => ranges);
  }
}
