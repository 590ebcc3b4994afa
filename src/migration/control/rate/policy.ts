import type { Because } from "../action.ts";
import type { Measurement } from "../measurement.ts";

/** What a rate is found from, beside the wish. Bytes per second are of the wire. */
export interface RateInput {
  readonly judgedMs: number;
  readonly measured: Measurement;
  /** Applied by the peer over the last second. */
  readonly appliedBytesPerSecond: number;
  /** Waiting for the link. */
  readonly waitingBytes: number;
  /** What the machine added over the last round; null while unknown. */
  readonly dirtyBytesPerSecond: number | null;
}

/** A cap and why. */
export interface RateDecision extends Because {
  /** Null is none. */
  readonly bytesPerSecond: number | null;
  /** The cap while the machine stands still. */
  readonly finalBytesPerSecond: number | null;
}

/** One way to find the cap of a move; told of each measurement that may be judged, in order. */
export interface RateRule {
  /** True where it follows what is measured: then it takes no step while the link is gone. */
  readonly follows: boolean;
  decide(input: RateInput): RateDecision;
}
