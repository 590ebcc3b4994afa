import type { DeliverySample } from "./path_delivery.ts";

/** What one feedback tells the pacer. */
export interface PacerInput {
  readonly nowMs: number;
  /** Least one-way time lately, in the difference of both clocks; null without a mark. */
  readonly transitMs: number | null;
  readonly delivery: DeliverySample | null;
  readonly minRoundTripMs: number;
  /** The latest. */
  readonly roundTripMs: number;
  /** Marked bytes that have arrived, and when the last of them did, by the peer's clock. */
  readonly arrivedBytes: number;
  readonly arrivedAtMs: number;
  /** Totals of all streams: written here, read by the peer. */
  readonly sentBytes: number;
  readonly readBytes: number;
  /** The delivery is of a stretch as short as a start wants it. */
  readonly isHasty: boolean;
  /** True when the pacer, and not the lack of data, decided how much was sent. */
  readonly isPaced: boolean;
}
