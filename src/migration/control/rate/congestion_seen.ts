import type { PathMeasurement } from "../../../link/peer_link.ts";

/** A queue below this is none: timers and other programs make as much. */
const TARGET_MS_MIN = 5;
/** Of the path's own round trip. */
const TARGET_RATIO = 0.15;
/** Jitter counts up to this much, ms: above it, it is a queue that comes and goes. */
const JITTER_MS_MAX = 30;
/** The growth of the queue is taken over this long, ms. */
const GROWTH_WINDOW_MS = 1_000;
/**
 * Loss is a mean over this long, and the least of one or two of the longer times is the path's own; ms.
 * At first that is taken as none.
 */
const LOSS_MS = 3_000;
const LOSS_LEAST_MS = 30_000;
/** More than this, and than so many times the path's own, is made by a buffer that is full. */
const LOSS_RATIO_MIN = 0.005;
const LOSS_TIMES = 3;

/** How full the path is, as far as its users can tell. */
export interface Congestion {
  readonly level: "none" | "near" | "congested";
  readonly queueMs: number;
  /** Delay up to which a queue is taken as none. */
  readonly targetMs: number;
  readonly lossRatio: number;
}

/**
 * Tells a queue on the path from its noise: by its delay, and on a path so short that a whole buffer
 * is no more than noise, by loss beyond the path's own. A far path is not judged by its loss: there it
 * comes without a queue.
 */
export class CongestionSeen {
  readonly #samples: { readonly atMs: number; readonly queueMs: number }[] = [];
  #lossRatio: number | null = null;
  /** The least of this window and of the one before: what is older counts no more. */
  #leastLoss = { now: 0, before: 0, sinceMs: 0 };
  #lastMs = 0;

  /** Seconds of queue that a second adds; negative while it drains. */
  get growth(): number {
    const first = this.#samples.at(0);
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return 0;
    return (last.queueMs - first.queueMs) / (last.atMs - first.atMs);
  }

  /** The lower of the last two delays counts: a single late packet is no queue. */
  observe(judgedMs: number, path: PathMeasurement): Congestion {
    const { roundTripMs, minRoundTripMs } = path;
    const aboveLeast = roundTripMs === null || minRoundTripMs === null
      ? 0
      : Math.max(0, roundTripMs - minRoundTripMs);
    const delayMs = path.queueMs ?? aboveLeast;
    const queueMs = Math.min(delayMs, this.#samples.at(-1)?.queueMs ?? delayMs);
    this.#samples.push({ atMs: judgedMs, queueMs: delayMs });
    while (this.#samples.length > 2 && this.#samples[1].atMs <= judgedMs - GROWTH_WINDOW_MS) {
      this.#samples.shift();
    }
    const jitterMs = Math.min(JITTER_MS_MAX, path.jitterMs ?? 0);
    const targetMs = Math.max(TARGET_MS_MIN, TARGET_RATIO * (minRoundTripMs ?? 0)) + jitterMs;
    const isShort = TARGET_RATIO * (minRoundTripMs ?? Infinity) < TARGET_MS_MIN;
    const isLosing = this.#observeLoss(judgedMs, path.lossRatio) && isShort;
    const level = queueMs > targetMs || isLosing
      ? "congested"
      : queueMs > targetMs / 2
      ? "near"
      : "none";
    return { level, queueMs, targetMs, lossRatio: this.#lossRatio ?? 0 };
  }

  /** True where more is lost than the path loses by itself. */
  #observeLoss(judgedMs: number, lossRatio: number | null): boolean {
    const passedMs = Math.max(0, judgedMs - this.#lastMs);
    this.#lastMs = judgedMs;
    if (lossRatio === null) return false;
    const before = this.#lossRatio ?? lossRatio;
    this.#lossRatio = before + (lossRatio - before) * Math.min(1, passedMs / LOSS_MS);
    const least = this.#leastLoss;
    if (judgedMs - least.sinceMs >= LOSS_LEAST_MS) {
      this.#leastLoss = { now: this.#lossRatio, before: least.now, sinceMs: judgedMs };
    } else least.now = Math.min(least.now, this.#lossRatio);
    const own = Math.min(this.#leastLoss.now, this.#leastLoss.before);
    return this.#lossRatio > LOSS_RATIO_MIN + LOSS_TIMES * own;
  }
}
