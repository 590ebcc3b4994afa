import type { PathMeasurement } from "../../../link/peer_link.ts";

/** A queue below this is none: timers and other programs make as much. */
const TARGET_MS_MIN = 5;
/** Of the path's own round trip. */
const TARGET_RATIO = 0.15;
/** Jitter counts up to this much, ms: above it, it is a queue that comes and goes. */
const JITTER_MS_MAX = 30;
/** The growth of the queue is taken over this long, ms. */
const GROWTH_WINDOW_MS = 1_000;

/** The queue on the path, and the delay up to which it is taken as none. */
export class QueueSeen {
  readonly #samples: { readonly atMs: number; readonly queueMs: number }[] = [];

  /** Seconds of queue that a second adds; negative while it drains. */
  get growth(): number {
    const first = this.#samples.at(0);
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return 0;
    return (last.queueMs - first.queueMs) / (last.atMs - first.atMs);
  }

  /** The lower of the last two readings: a single late packet is no queue. */
  observe(judgedMs: number, path: PathMeasurement): { queueMs: number; targetMs: number } {
    const { roundTripMs, minRoundTripMs } = path;
    const aboveLeast = roundTripMs === null || minRoundTripMs === null
      ? 0
      : Math.max(0, roundTripMs - minRoundTripMs);
    const queueMs = path.queueMs ?? aboveLeast;
    const before = this.#samples.at(-1)?.queueMs ?? queueMs;
    this.#samples.push({ atMs: judgedMs, queueMs });
    while (this.#samples.length > 2 && this.#samples[1].atMs <= judgedMs - GROWTH_WINDOW_MS) {
      this.#samples.shift();
    }
    const jitterMs = Math.min(JITTER_MS_MAX, path.jitterMs ?? 0);
    const targetMs = Math.max(TARGET_MS_MIN, TARGET_RATIO * (minRoundTripMs ?? 0)) + jitterMs;
    return { queueMs: Math.min(queueMs, before), targetMs };
  }
}
