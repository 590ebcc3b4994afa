import { clockOf } from "../wire/clock_record.ts";

/** A clock is set rarely, so once in this time is enough. */
const TELL_MS = 10_000;

/** How far the peer's wall clock is from ours, by what it tells of it over the link. */
export class PeerClock {
  /** Positive where the peer's clock is ahead; null before it has told. */
  offsetMs: number | null = null;
  #toldAtMs = -Infinity;

  /** Whether it is time to tell the peer ours; counts as told. */
  isDue(nowMs: number): boolean {
    if (nowMs - this.#toldAtMs < TELL_MS) return false;
    this.#toldAtMs = nowMs;
    return true;
  }

  /** Looks at a record that arrived. The way here is taken for half of the round trip. */
  heard(record: Uint8Array, wallMs: number, roundTripMs: number | null): void {
    const peerMs = clockOf(record);
    if (peerMs !== null) this.offsetMs = Math.round(peerMs + (roundTripMs ?? 0) / 2 - wallMs);
  }
}
