import { LANE_WINDOW_BYTES_MAX, type QuicLane } from "./quic_lane.ts";

/** What one lane may hold is its share of the rate for so many round trips and so long. */
const LANE_ROUND_TRIPS = 4;
const LANE_MS = 100;
const LANE_WINDOW_BYTES_MIN = 64 * 1024;

/** The lanes of one bundle, by index: 0 is the urgent one, the others carry bulk. */
export class LaneSet {
  readonly #lanes: (QuicLane | null)[];

  constructor(laneCount: number) {
    this.#lanes = Array.from({ length: laneCount }, () => null);
  }

  get urgent(): QuicLane | null {
    return this.#lanes[0];
  }

  get joined(): QuicLane[] {
    return this.#lanes.filter((lane) => lane !== null);
  }

  get bulk(): QuicLane[] {
    return this.#lanes.slice(1).filter((lane) => lane !== null);
  }

  /** Bytes written to all lanes, and read from them by the peer as far as it told. */
  get sentBytes(): number {
    return this.joined.reduce((sum, lane) => sum + lane.sentBytes, 0);
  }

  get deliveredBytes(): number {
    return this.joined.reduce((sum, lane) => sum + lane.deliveredBytes, 0);
  }

  /** Bytes read here, by lane index. */
  get receivedBytes(): number[] {
    return this.#lanes.map((lane) => lane?.receivedBytes ?? 0);
  }

  has(index: number): boolean {
    return this.#lanes[index] !== null;
  }

  add(lane: QuicLane): void {
    this.#lanes[lane.index] = lane;
  }

  /** What the peer says that it has read, by lane index; more than was sent is not believed. */
  delivered(laneBytes: readonly number[]): void {
    for (const lane of this.joined) {
      const bytes = laneBytes[lane.index] ?? 0;
      if (bytes <= lane.sentBytes) lane.deliveredBytes = Math.max(lane.deliveredBytes, bytes);
    }
  }

  /**
   * The bulk lane with least under way, of those with room; null when none has.
   *
   * A lane whose connection is held up (by loss, or by its own congestion control) must not gather
   * what the others could carry: it gets its share of some round trips, because loss delays all
   * that is behind it.
   */
  emptiest(bytesPerSecond: number, minRoundTripMs: number): QuicLane | null {
    const lanes = this.bulk;
    const ms = LANE_ROUND_TRIPS * minRoundTripMs + LANE_MS;
    const share = bytesPerSecond * ms / 1000 / lanes.length;
    const windowBytes = Math.min(LANE_WINDOW_BYTES_MAX, Math.max(LANE_WINDOW_BYTES_MIN, share));
    let best: QuicLane | null = null;
    for (const lane of lanes) {
      if (lane.outstandingBytes >= windowBytes) continue;
      if (best === null || lane.outstandingBytes < best.outstandingBytes) best = lane;
    }
    return best;
  }
}
