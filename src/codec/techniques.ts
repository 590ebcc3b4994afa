/** Ways not to send a page, by the name that they have in a report's `savedBytes`. */
export const TECHNIQUES = [
  "zero",
  "unchanged",
  "delta",
  "duplicate",
  "compression",
  "warm",
] as const;
export type Technique = typeof TECHNIQUES[number];

/** What an encoder was given, and what became of it, in bytes since it began. */
export interface EncoderTotals {
  /** Pages, zero pages and opaque bytes as the machine's stream has them. */
  offeredBytes: number;
  payloadBytes: number;
  /**
   * What did not have to cross, by technique. `offeredBytes` is `payloadBytes` and all of these
   * together; compression is below 0 while what was packed is smaller than what describes it.
   */
  readonly saved: Record<Technique, number>;
}

/** Totals of an encoder that has not encoded anything yet. */
export function noTotals(): EncoderTotals {
  return {
    offeredBytes: 0,
    payloadBytes: 0,
    saved: { zero: 0, unchanged: 0, delta: 0, duplicate: 0, compression: 0, warm: 0 },
  };
}
