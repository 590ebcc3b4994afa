import { FAIR_SHARE_LEAST, type RatePolicy } from "../wishes.ts";
import { shownRate, whole } from "../words.ts";
import { CapacitySeen } from "./capacity_seen.ts";
import { type Congestion, CongestionSeen } from "./congestion_seen.ts";
import { Exploration } from "./explore.ts";
import type { RateDecision, RateInput, RateRule } from "./policy.ts";

type Fair = Extract<RatePolicy, { policy: "fair" }>;

/** The first cap, as a share of what the path carries; doubled in a few round trips until a queue grows. */
const START_SHARE = 0.2;
const START_DOUBLE_MS_MIN = 400;
const START_DOUBLE_ROUND_TRIPS = 4;
/**
 * A path that was filled once gets no cap above this share of what it carries, so that no queue of
 * ours stands there; a bit more for some seconds of each minute, to see whether it carries more.
 */
const MOST_RATIO = 0.92;
const PROBE_RATIO = 1.1;
const PROBE_EVERY_MS = 60_000;
const PROBE_MS = 8_000;
/** A first step back, those after it where the queue does not fall, and the most for one step. */
const BACK_FIRST = 0.9;
const BACK_AGAIN = 0.75;
/** Growth, as a share of the cap per second: up to where a queue grew last, and there. */
const GROWTH_FAR = 0.25;
const GROWTH_NEAR = 0.03;
const NEAR_RATIO = 0.85;
/** Past that place by this, growth doubles each time that it has gone well for so long; ms. */
const PAST_RATIO = 1.15;
const GROWTH_DOUBLE_MS = 3_000;
/** A queue this soon after growing was made by it, ms. */
const GREW_MS = 10_000;
/** Quiet before the cap grows, doubled each time that growing made a queue again; ms. */
const QUIET_MS_MIN = 1_000;
const QUIET_MS_MAX = 16_000;
/** Below this share of its peak a queue is falling. */
const FALLING_RATIO = 0.9;
/** A step is judged after this long at the least and at the most, ms. */
const DRAIN_MS_MIN = 200;
const DRAIN_MS_MAX = 3_000;

/**
 * What other traffic leaves: the cap falls as soon as a queue grows on the path, and grows again,
 * slowly, while there is none. Scavenging in the manner of LEDBAT (RFC 6817) and LEDBAT++, with a
 * rate in place of a window: a small target for the queueing delay, a step back by a ratio, at most
 * once for each time a step needs to show, and growth that stops in front of the target. Traffic
 * that keeps the queue full, as a TCP download does, takes everything but `FAIR_SHARE_LEAST`.
 */
export class FairRate implements RateRule {
  readonly follows = true;
  readonly #capacity = new CapacitySeen();
  readonly #congestion = new CongestionSeen();
  readonly #exploration = new Exploration();
  #bytesPerSecond: number | null = null;
  #isStarting = true;
  #isFalling = false;
  #lastMs: number | null = null;
  /** Where a queue grew last. */
  #edgeBytesPerSecond = Infinity;
  #pastSinceMs: number | null = null;
  #quietSinceMs: number | null = null;
  #grewAtMs = -Infinity;
  #quietMs = QUIET_MS_MIN;
  /** The step back that is being judged. */
  #step: { readonly untilMs: number; peakMs: number } | null = null;

  constructor(private readonly wish: Omit<Fair, "policy">) {}

  decide(input: RateInput): RateDecision {
    const { judgedMs, measured: { path } } = input;
    const passedMs = Math.min(1000, Math.max(0, judgedMs - (this.#lastMs ?? judgedMs)));
    this.#lastMs = judgedMs;
    const { bytesPerSecond: capacity, isMeasured } = this.#capacity.observe(
      judgedMs,
      path.bottleneckBytesPerSecond,
      input.appliedBytesPerSecond,
    );
    const congestion = this.#congestion.observe(judgedMs, path);
    const before = this.#bytesPerSecond ?? START_SHARE * capacity;
    let rate = before;
    const exploration = !this.#isStarting ? "no" : this.#exploration.look(
      judgedMs,
      congestion.level === "congested",
      input.appliedBytesPerSecond,
    );
    const explores = exploration === "goesOn";
    if (explores) {
      const most = Math.max(before, this.#exploration.mostBytesPerSecond);
      rate = Math.min(most, this.#grow(before, passedMs, Infinity, input));
    } else if (exploration === "ended") {
      // What arrives is the limit, or what others leave of it: the steps that follow find that out.
      this.#isStarting = false;
      this.#edgeBytesPerSecond = this.#exploration.bestBytesPerSecond;
      rate = BACK_FIRST * this.#edgeBytesPerSecond;
      // What it has put into the queue drains first.
      const untilMs = judgedMs + DRAIN_MS_MAX + (path.roundTripMs ?? 0);
      this.#step = { untilMs, peakMs: congestion.queueMs };
    } else if (exploration === "hold") rate = before;
    else if (congestion.level === "congested") {
      rate = this.#back(before, congestion, capacity, input);
    } else if (congestion.level === "near") this.#quietSinceMs = null;
    else rate = this.#grow(before, passedMs, isMeasured ? capacity : Infinity, input);
    const ratio = judgedMs % PROBE_EVERY_MS < PROBE_EVERY_MS - PROBE_MS ? MOST_RATIO : PROBE_RATIO;
    const most = Math.min(
      this.wish.maxBytesPerSecond ?? Infinity,
      isMeasured && !explores ? capacity * ratio : Infinity,
    );
    if (rate >= most) this.#isStarting = false;
    const least = Math.min(most, FAIR_SHARE_LEAST * capacity);
    this.#bytesPerSecond = Math.max(least, Math.min(most, rate));
    if (this.#bytesPerSecond !== before) this.#isFalling = this.#bytesPerSecond < before;
    return this.#decision(this.#bytesPerSecond, congestion, capacity);
  }

  #decision(rate: number, congestion: Congestion, capacity: number): RateDecision {
    const bytesPerSecond = Math.round(rate);
    const { queueMs, targetMs, lossRatio } = congestion;
    const shown = shownRate(bytesPerSecond);
    return {
      bytesPerSecond,
      // Also with the machine paused: what the others leave is all that a pause can count on.
      finalBytesPerSecond: bytesPerSecond,
      reason: this.#isFalling
        ? `other traffic, or as much as the path carries, was in a queue there: down to ${shown}`
        : `no queue on the path to speak of: up to ${shown}`,
      numbers: {
        bytesPerSecond,
        queueMs: whole(queueMs),
        targetMs: whole(targetMs),
        lossRatio: Math.round(lossRatio * 1e4) / 1e4,
        capacityBytesPerSecond: whole(capacity),
      },
    };
  }

  #back(before: number, { queueMs }: Congestion, capacity: number, input: RateInput): number {
    const { judgedMs, measured: { path } } = input;
    this.#quietSinceMs = null;
    const step = this.#step;
    if (step !== null) step.peakMs = Math.max(step.peakMs, queueMs);
    if (step !== null && judgedMs < step.untilMs) return before;
    // A cap that is not used is not what fills the path.
    const used = input.waitingBytes > 0
      ? before
      : Math.min(before, 2 * input.appliedBytesPerSecond);
    // A queue that falls is on its way out: a second step would only make the swing larger.
    const isFalling = step !== null && queueMs < FALLING_RATIO * step.peakMs;
    const ratio = step === null ? this.#firstRatio(capacity, used) : BACK_AGAIN;
    // Half of the time that the queue takes to drain by a step, and a round trip until it shows.
    const drainMs = queueMs * capacity / Math.max(1, used * (1 - BACK_FIRST)) / 2;
    const waitMs = Math.min(DRAIN_MS_MAX, Math.max(DRAIN_MS_MIN, drainMs));
    this.#step = { untilMs: judgedMs + waitMs + (path.roundTripMs ?? 0), peakMs: queueMs };
    if (isFalling) return before;
    if (step === null && !this.#isStarting && judgedMs - this.#grewAtMs < GREW_MS) {
      this.#quietMs = Math.min(QUIET_MS_MAX, 2 * this.#quietMs);
    }
    // The queue is still there, so the edge lies below.
    this.#edgeBytesPerSecond = used;
    this.#isStarting = false;
    return used * ratio;
  }

  /** What growing made too much of the queue, and a little more, so that it drains. */
  #firstRatio(capacity: number, used: number): number {
    const surplus = Math.max(0, this.#congestion.growth) * capacity / Math.max(1, used);
    return Math.max(BACK_AGAIN, Math.min(1, BACK_FIRST - surplus));
  }

  #grow(before: number, passedMs: number, capacity: number, input: RateInput): number {
    const { judgedMs, measured: { path } } = input;
    this.#step = null;
    this.#quietSinceMs ??= judgedMs;
    const quietForMs = judgedMs - this.#quietSinceMs;
    if (quietForMs < (this.#isStarting ? 0 : this.#quietMs)) return before;
    const isUsed = input.waitingBytes > 0 || input.appliedBytesPerSecond > 0.7 * before;
    if (!isUsed) return before;
    if (this.#isStarting) {
      const roundTripsMs = START_DOUBLE_ROUND_TRIPS * (path.roundTripMs ?? 0);
      return before * Math.pow(2, passedMs / Math.max(START_DOUBLE_MS_MIN, roundTripsMs));
    }
    this.#grewAtMs = judgedMs;
    return before * (1 + this.#growth(before, capacity, judgedMs) * passedMs / 1000);
  }

  /** Share of the cap per second: little near the edge, and past it more the longer it goes well. */
  #growth(before: number, capacity: number, judgedMs: number): number {
    const edge = this.#edgeBytesPerSecond;
    if (before > NEAR_RATIO * capacity) return GROWTH_NEAR;
    if (before <= PAST_RATIO * edge) this.#pastSinceMs = null;
    else {
      this.#pastSinceMs ??= judgedMs;
      this.#quietMs = QUIET_MS_MIN;
      const doublings = (judgedMs - this.#pastSinceMs) / GROWTH_DOUBLE_MS;
      return Math.min(GROWTH_FAR, GROWTH_NEAR * Math.pow(2, doublings));
    }
    return before > NEAR_RATIO * edge ? GROWTH_NEAR : GROWTH_FAR;
  }
}
