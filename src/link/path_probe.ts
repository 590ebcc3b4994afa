import type { PathMeasurement, PathProbe } from "./peer_link.ts";

/** How often a probe looks. */
export const PROBE_STEP_MS = 50;
/** Goodput is compared in pieces of this, or of a round trip. */
const PIECE_MS_MIN = 200;
/** So many pieces in a row must be alike for the estimate to stand still. */
const PIECES_ALIKE = 3;
/** What counts as alike, by the largest: pieces of goodput, and the bottleneck meanwhile. */
const GOODPUT_SPREAD = 0.1;
const BOTTLENECK_SPREAD = 0.05;
/** Limits when none are given. */
const SECONDS_MAX = 3;
const ROUND_TRIPS_MAX = 12;

interface Sample {
  readonly atMs: number;
  readonly deliveredBytes: number;
  readonly bottleneckBytesPerSecond: number | null;
}

/** How long a probe of this path may take, where nothing else was said. */
export function probeSecondsMax(minRoundTripMs: number | null): number {
  return Math.max(SECONDS_MAX, ROUND_TRIPS_MAX * (minRoundTripMs ?? 0) / 1000);
}

/** What a probe has seen so far, and whether that is enough; pure, time is an argument. */
export class ProbeSamples {
  readonly #samples: Sample[] = [];
  #path: PathMeasurement | null = null;

  get seconds(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    return first && last ? (last.atMs - first.atMs) / 1000 : 0;
  }

  add(nowMs: number, deliveredBytes: number, path: PathMeasurement): void {
    this.#path = path;
    const { bottleneckBytesPerSecond } = path;
    this.#samples.push({ atMs: nowMs, deliveredBytes, bottleneckBytesPerSecond });
  }

  /** True when goodput and estimate have stood still for some pieces of time. */
  get isSettled(): boolean {
    const pieces = this.#pieces().slice(0, PIECES_ALIKE);
    const rates = pieces.map(({ bytesPerSecond }) => bytesPerSecond);
    if (rates.length < PIECES_ALIKE || Math.max(...rates) === 0) return false;
    const bottlenecks = this.#samples.filter(({ atMs }) => atMs >= pieces[PIECES_ALIKE - 1].fromMs)
      .map((sample) => sample.bottleneckBytesPerSecond);
    const known = bottlenecks.filter((bottleneck) => bottleneck !== null);
    // A bottleneck that was seen in the middle of it has not stood still.
    if (known.length > 0 && known.length < bottlenecks.length) return false;
    return isAlike(rates, GOODPUT_SPREAD) && isAlike(known, BOTTLENECK_SPREAD);
  }

  /** Everything together; `sentBytes` of filler were sent for it. */
  result(source: PathProbe["source"], sentBytes: number): PathProbe {
    const { seconds, isSettled } = this;
    const last = this.#samples.at(-1);
    const pieces = this.#pieces();
    // Before that is the carrier's start; where it came to no end, about the first half of the time.
    const fromMs = isSettled ? pieces[PIECES_ALIKE - 1].fromMs : (last?.atMs ?? 0) - seconds * 500;
    const first = this.#samples.find(({ atMs }) => atMs >= fromMs);
    const rates = pieces.filter((piece) => piece.fromMs >= fromMs)
      .map(({ bytesPerSecond }) => bytesPerSecond);
    return {
      source,
      seconds,
      sentBytes,
      isSettled,
      bottleneckBytesPerSecond: this.#path?.bottleneckBytesPerSecond ?? null,
      goodputBytesPerSecond: first && last && last.atMs > first.atMs
        ? (last.deliveredBytes - first.deliveredBytes) * 1000 / (last.atMs - first.atMs)
        : null,
      goodputRange: rates.length === 0
        ? null
        : { low: Math.min(...rates), high: Math.max(...rates) },
      roundTripMs: this.#path?.roundTripMs ?? null,
      minRoundTripMs: this.#path?.minRoundTripMs ?? null,
      jitterMs: this.#path?.jitterMs ?? null,
      lossRatio: this.#path?.lossRatio ?? null,
    };
  }

  get #pieceMs(): number {
    return Math.max(PIECE_MS_MIN, this.#path?.minRoundTripMs ?? 0);
  }

  /** Every whole piece, the latest first. */
  #pieces(): { readonly fromMs: number; readonly bytesPerSecond: number }[] {
    const pieces: { fromMs: number; bytesPerSecond: number }[] = [];
    let end = this.#samples.at(-1);
    for (let at = this.#samples.length - 2; end !== undefined && at >= 0; at--) {
      const sample = this.#samples[at];
      // Samples are late at times: a piece may be longer.
      if (end.atMs - sample.atMs < this.#pieceMs) continue;
      const bytes = end.deliveredBytes - sample.deliveredBytes;
      const bytesPerSecond = bytes * 1000 / (end.atMs - sample.atMs);
      pieces.push({ fromMs: sample.atMs, bytesPerSecond });
      end = sample;
    }
    return pieces;
  }
}

function isAlike(values: readonly number[], spread: number): boolean {
  const most = Math.max(...values);
  return values.every((value) => value >= (1 - spread) * most);
}
