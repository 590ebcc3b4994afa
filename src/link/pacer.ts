import { ReadBacklog } from "./pacer_backlog.ts";
import { Headroom } from "./pacer_headroom.ts";
import { PathNoise } from "./pacer_noise.ts";
import { QueueDelay } from "./pacer_queue.ts";
import type { DeliverySample } from "./path_delivery.ts";

/** First guess: slow enough for a DSL line, doubled every round trip from there. */
export const START_BYTES_PER_SECOND = 500_000;
/** Below this nothing useful moves; the path is asked to carry it whatever it does. */
export const FLOOR_BYTES_PER_SECOND = 4_000;
/** Above what the transport moves on one core. */
export const CEILING_BYTES_PER_SECOND = 1_000_000_000;

/** Queueing delay that is allowed: this share of the least round trip, within these bounds. */
const QUEUE_RATIO = 0.15;
const QUEUE_MS_MIN = 2;
const QUEUE_MS_MAX = 40;
/** Less than this is no queue at any rate: a few packets are always under way together. */
const QUEUE_BYTES_MIN = 4_500;
const SHORT_QUEUE_BYTES_MIN = 12_000;
/** How strongly the rate answers to the queue: 1 would drain it within one round trip. */
const DRAIN = 0.5;
const GAIN_MIN = 0.5;

/**
 * What is asked for beyond the estimate while nothing shows that the path is the limit; doubled
 * every two round trips.
 */
const PROBE_LEAST = 0.04;
const PROBE_MOST = 1;
const PROBE_MS_MIN = 80;
/** A short path's queue is soon full: less at its start, and least near a limit that is known. */
const PROBE_SHORT_STARTUP = 0.5;
const PROBE_NEAR = 0.02;
/** First guess on a short path, for each of its round trips, and the most that it may come to. */
const START_WINDOW_BYTES = 30_000;
const START_BYTES_PER_SECOND_MOST = 12_500_000;
/** A path that carries less of what was sent, on the mean of some round trips, is the limit. */
const CARRIED_RATIO_LEAST = 0.9;
const CARRIED_ROUND_TRIPS = 3;
const CARRIED_MS_MIN = 300;
/** On a short path, so does a probe that loses more than this: two of 25 marks. */
const SHORT_LOSS_RATIO = 0.06;
/** While one goes on to lose this, the estimate is at most so much above what the peer reads. */
const SHORT_EXCESS_LOSS_RATIO = 0.015;
const READ_GAIN = 1.1;

/** The estimate is the best rate of this many round trips. */
const ESTIMATE_ROUND_TRIPS = 8;
const ESTIMATE_MS_MIN = 400;
/** When a queue has lasted so long, only what was measured meanwhile counts. */
const LASTING_ROUND_TRIPS = 2;
const LASTING_MS_MIN = 100;
/** The estimate falls by at most this share in that time. */
const FALL = 0.5;
/** Where only a queue says so, which jitter may be: */
const FALL_BY_QUEUE = 0.15;
/** A sample of what the path carried lowers the estimate when it is below what was sent by this. */
const CARRIED_RATIO = 0.96;
/** More arrives than is sent by this while a queue empties. */
const DRAINED_RATIO = 1.05;
/** A queue that stays this long is not ours to drain. */
const FOREIGN_ROUND_TRIPS = 10;
const FOREIGN_MS_MIN = 1_000;
/** Every so often the rate dips, so that an empty queue is seen and the least transit is true. */
const DIP_INTERVAL_MS = 4_000;
const DIP_GAIN = 0.8;

/** On shorter paths a queue is over before it shows among the delays of the programs. */
const SHORT_ROUND_TRIP_MS = 30;
/**
 * There the rate stays below the estimate for so long after a limit was met, before it looks for
 * room again; longer each time that it meets the same limit.
 */
const HOLD_MS_MIN = 250;
const HOLD_MS_MAX = 4_000;
const SETTLING_MS = 150;
/** What looks like a queue below the limit, and how much more than that is one. */
const NOISE_SMOOTHING = 1 / 32;
const NOISE_GAIN = 2.5;
const NOISE_MS_MAX = 30;
const SAME_LIMIT_RATIO = 0.1;
const NEAR_PROBES = 5;

/** Feedback and timers: what the loop is late by beside the round trip. */
const LOOP_MS_MIN = 12;
/** What the window allows for reports that come late. */
const WINDOW_SLACK_MS = 3;
const WINDOW_BYTES_MIN = 64 * 1024;
/**
 * Within a machine or a room the programs are the only delay that there is: they need a window to
 * work, and no estimate is taken for true that no such network has.
 */
const ROOM_ROUND_TRIP_MS = 2;
const ROOM_WINDOW_BYTES_MIN = 256 * 1024;
const ROOM_BYTES_PER_SECOND_MIN = 12_500_000;
/** How much of missed turns is caught up with: this share of a round trip, within these bounds. */
const MEMORY_RATIO = 1 / 8;
const MEMORY_MS_MIN = 4;
const MEMORY_MS_MAX = 20;

export type PacerPhase = "startup" | "cruise";

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
  /** True when the pacer, and not the lack of data, decided how much was sent. */
  readonly isPaced: boolean;
}

/**
 * Finds the bottleneck's rate and keeps its queue short; pure, time is an argument.
 *
 * The estimate is the best delivery rate of the last round trips. The rate is the estimate times a
 * gain: above one while there is no queue (by two at the start and where nothing shows that the
 * path is the limit, else by little), below one in proportion to the queue's delay, so that a short queue remains and the
 * link never idles. The estimate only ever grows by what has arrived, so asking for too much does
 * not raise it. Random loss is no sign of congestion, except on short paths, see `Headroom`.
 *
 * Akin to BBR (Cardwell et al., ACM Queue 2016) in measuring the delivery rate, to TCP Vegas
 * (Brakmo and Peterson, 1995) and Copa (Arun and Balakrishnan, NSDI 2018) in judging by delay.
 */
export class Pacer {
  #phase: PacerPhase = "startup";
  #estimate = START_BYTES_PER_SECOND;
  #rate = START_BYTES_PER_SECOND;
  #probe = PROBE_MOST;
  /** Falling from the best to the latest. */
  #best: { atMs: number; bytesPerSecond: number }[] = [];
  #estimatedAtMs: number | null = null;
  readonly #queue = new QueueDelay();
  readonly #noise = new PathNoise();
  readonly #headroom = new Headroom();
  readonly #backlog = new ReadBacklog();
  #probes = 0;
  /** When probing began, and the estimate then. */
  #probeSinceMs: number | null = null;
  #probeFrom = START_BYTES_PER_SECOND;
  /** Mean share of what was sent that the path carried. */
  #carriedRatio = 1;
  #carriedAtMs: number | null = null;
  /** Since when the queue is longer than allowed. */
  #queuedSinceMs: number | null = null;
  #dipFromMs = Infinity;
  #takenAtMs = -Infinity;
  #lastReadBytes = 0;
  #lastReadAtMs = 0;
  #darkEstimate = 0;
  #wasDark = false;
  #behindAtMs = -Infinity;
  #halvedAtMs = -Infinity;
  #dipIntervalMs = 500;
  #dipNoiseMs: number | null = null;
  /** When the path last showed that it is the limit, the estimate then, and how long to hold. */
  #limitedAtMs = -Infinity;
  #limitedEstimate = 0;
  #holdMs = HOLD_MS_MIN;
  #noiseMs = 0;
  #minRoundTripMs = 100;

  get phase(): PacerPhase {
    return this.#phase;
  }

  get rateBytesPerSecond(): number {
    return this.#rate;
  }

  /** Null until the bottleneck was seen. */
  get bottleneckBytesPerSecond(): number | null {
    return this.#phase === "startup" ? null : this.#estimate;
  }

  get queueMs(): number {
    return this.#queue.ms;
  }

  /** Bytes that may be under way at once: what fills path and a short queue. */
  get windowBytes(): number {
    const queueMs = this.#isShort ? 0 : this.#allowedMs();
    const ms = this.#minRoundTripMs + this.#noise.roundTripMs + queueMs + WINDOW_SLACK_MS;
    const least = this.#isRoom ? ROOM_WINDOW_BYTES_MIN : WINDOW_BYTES_MIN;
    return Math.max(least, (1 + this.#probe) * this.#estimate * ms / 1000);
  }

  /** How much of missed turns is caught up with. */
  get memoryMs(): number {
    return Math.min(MEMORY_MS_MAX, Math.max(MEMORY_MS_MIN, MEMORY_RATIO * this.#minRoundTripMs));
  }

  take(input: PacerInput): void {
    const { nowMs, transitMs, delivery, isPaced } = input;
    this.#minRoundTripMs = input.minRoundTripMs;
    if (this.#probeSinceMs === null) this.#start();
    else if (nowMs - this.#takenAtMs > 600) this.#resume(nowMs);
    this.#takenAtMs = nowMs;
    if (transitMs !== null) this.#queue.add(transitMs, nowMs, this.#minRoundTripMs);
    if (delivery !== null) this.#estimateFrom(delivery, nowMs, isPaced);
    // What the probe that met the limit did is still being told for a while.
    const isSettled = this.#isHolding(nowMs) && nowMs - this.#limitedAtMs > SETTLING_MS;
    this.#headroom.take(isSettled ? delivery?.newLossRatio ?? null : null, nowMs);
    // Below the limit there is no queue: what looks like one then is jitter, or a busy program.
    if (isSettled) this.#noiseMs += (this.#queue.ms - this.#noiseMs) * NOISE_SMOOTHING;
    if (delivery !== null) {
      this.#noise.arrived(input.arrivedBytes, input.arrivedAtMs);
      const share = this.#isShort ? isSettled ? 0 : Infinity : delivery.sentBytesPerSecond;
      this.#noise.take(
        this.#queue.ms,
        Math.max(0, input.roundTripMs - input.minRoundTripMs),
        share,
        this.#minRoundTripMs,
        nowMs,
      );
    }
    this.#watchBacklog(input);
    this.#watchQueue(nowMs);
    this.#watchProbe(nowMs, isPaced);
    if (this.#isRoom) this.#estimate = Math.max(this.#estimate, ROOM_BYTES_PER_SECOND_MIN);
    this.#rate = clamp(this.#estimate * this.#gain(nowMs, isPaced));
  }

  #resume(nowMs: number): void {
    this.#best = [{ atMs: nowMs, bytesPerSecond: this.#estimate }];
    this.#estimatedAtMs = this.#carriedAtMs = null;
    this.#carriedRatio = 1;
    this.#queuedSinceMs = null;
    this.#limitedAtMs = -Infinity;
    this.#holdMs = HOLD_MS_MIN;
    this.#dipFromMs = nowMs + DIP_INTERVAL_MS;
    this.#dipNoiseMs = null;
    this.#restartProbe(nowMs);
  }

  #start(): void {
    const bytesPerSecond = START_WINDOW_BYTES * 1000 / Math.max(1, this.#minRoundTripMs);
    this.#estimate = Math.max(
      START_BYTES_PER_SECOND,
      Math.min(START_BYTES_PER_SECOND_MOST, bytesPerSecond),
    );
    if (this.#isShort) this.#probe = PROBE_SHORT_STARTUP;
  }

  #estimateFrom(delivery: DeliverySample, nowMs: number, isPaced: boolean): void {
    const { sentBytesPerSecond, carriedBytesPerSecond, arrivedBytesPerSecond } = delivery;
    this.#watchCarried(delivery, nowMs, isPaced);
    const elapsedMs = nowMs - (this.#estimatedAtMs ?? nowMs);
    this.#estimatedAtMs = nowMs;
    let known = carriedBytesPerSecond;
    let fall = FALL;
    // What was not sent, for lack of data or of turns, could not arrive: no reason for less, unless
    // it was the window that kept it back because of a queue.
    const isWindowFull = this.#isQueued && carriedBytesPerSecond < CARRIED_RATIO_LEAST * this.#rate;
    const isCarried = carriedBytesPerSecond > CARRIED_RATIO * sentBytesPerSecond;
    if (!isPaced || (isCarried && !isWindowFull)) {
      known = Math.max(known, this.#estimate);
      fall = FALL_BY_QUEUE;
    }
    // Out of a queue that stays comes what the bottleneck can do, however little goes in.
    // Where what arrives is just what was sent, no queue is being drained: the delay is the programs'
    // (a busy machine), and to believe it would spiral, because less sent is less arrived.
    const isOurs = arrivedBytesPerSecond > DRAINED_RATIO * sentBytesPerSecond ||
      carriedBytesPerSecond < CARRIED_RATIO_LEAST * sentBytesPerSecond;
    if (isOurs && this.#isQueueLasting(nowMs)) known = Math.min(known, arrivedBytesPerSecond);
    const best = this.#noise.arrivedBytesPerSecond;
    if (!this.#isShort && isPaced && best > 0 && this.#isQueueLasting(nowMs)) known = Math.min(known, best);
    const windowMs = Math.max(ESTIMATE_MS_MIN, ESTIMATE_ROUND_TRIPS * this.#loopMs());
    this.#best = this.#best.filter((entry) =>
      entry.bytesPerSecond > known && entry.atMs > nowMs - windowMs
    );
    this.#best.push({ atMs: nowMs, bytesPerSecond: known });
    // Where everything stood still for a moment, the path has not become that much slower.
    const least = this.#estimate * (1 - fall * Math.min(1, elapsedMs / this.#lastingMs()));
    this.#estimate = clamp(Math.max(this.#best[0].bytesPerSecond, least));
  }

  #watchCarried(delivery: DeliverySample, nowMs: number, isPaced: boolean): void {
    const { sentBytesPerSecond, carriedBytesPerSecond, newLossRatio } = delivery;
    const meanMs = Math.max(CARRIED_MS_MIN, CARRIED_ROUND_TRIPS * this.#loopMs());
    const share = Math.min(1, (nowMs - (this.#carriedAtMs ?? nowMs)) / meanMs);
    const ratio = Math.min(
      this.#isShort ? 1 : 1.25,
      (this.#isShort ? carriedBytesPerSecond : delivery.arrivedBytesPerSecond) / sentBytesPerSecond,
    );
    this.#carriedAtMs = nowMs;
    this.#carriedRatio += share * ((isPaced ? ratio : 1) - this.#carriedRatio);
    // Once held, loss only widens the headroom.
    const lossRatioMax = SHORT_LOSS_RATIO + 2 * this.#headroom.randomLossRatio;
    const isLossy = this.#isShort && !this.#isHolding(nowMs) && (newLossRatio ?? 0) > lossRatioMax;
    // What a probe seemed to find was the part of it that got through.
    if (isLossy) this.#lower(this.#probeFrom, nowMs);
    if (this.#carriedRatio < CARRIED_RATIO_LEAST || isLossy) this.#limited(nowMs);
  }

  #watchBacklog({ sentBytes, readBytes, nowMs, minRoundTripMs, isPaced }: PacerInput): void {
    if (readBytes > this.#lastReadBytes) {
      if (nowMs - this.#lastReadAtMs > this.#lastingMs() + 200) this.#wasDark = true;
      this.#lastReadBytes = readBytes;
      this.#lastReadAtMs = nowMs;
      this.#darkEstimate = this.#estimate;
    }
    const readRate = this.#backlog.take(sentBytes, readBytes, nowMs, minRoundTripMs);
    const meanReadRate = this.#backlog.readBytesPerSecond;
    if (
      this.#isShort && isPaced && meanReadRate !== null &&
      this.#headroom.excessLossRatio > SHORT_EXCESS_LOSS_RATIO
    ) this.#lower(READ_GAIN * meanReadRate, nowMs);
    if (readRate === null || !isPaced || readRate >= this.#estimate) return;
    // Each report says it again until what was sent too much has been read: once is enough.
    if (nowMs - this.#behindAtMs > this.#lastingMs()) {
      // Where nothing at all is read, nothing is known of the rate either.
      this.#lower(Math.max(readRate, this.#darkEstimate / 8), nowMs);
      this.#behindAtMs = nowMs;
    }
    this.#limited(nowMs);
  }

  /** The estimate was wrong. */
  #lower(bytesPerSecond: number, nowMs: number): void {
    const lowered = Math.max(bytesPerSecond, this.#estimate * (1 - FALL));
    if (lowered >= this.#estimate) return;
    this.#best = [{ atMs: nowMs, bytesPerSecond: lowered }];
    this.#estimate = clamp(lowered);
  }

  #watchQueue(nowMs: number): void {
    if (this.#excessMs <= this.#allowedMs()) {
      this.#queuedSinceMs = null;
      return;
    }
    this.#queuedSinceMs ??= nowMs;
    const queuedMs = nowMs - this.#queuedSinceMs;
    const loopMs = this.#loopMs();
    // Programs pause as well; a queue that is ours stays.
    const isSure = this.#isShort || (this.#phase === "startup" && this.#carriedRatio < 0.95);
    if (queuedMs > loopMs / 2 && isSure) this.#limited(nowMs);
    // A queue in spite of our restraint: the bottleneck has become slower, believe the latest.
    if (this.#isQueueLasting(nowMs)) {
      this.#best = this.#best.filter(({ atMs }) => atMs > nowMs - this.#lastingMs());
    }
    if (queuedMs > Math.max(FOREIGN_MS_MIN, FOREIGN_ROUND_TRIPS * loopMs)) {
      this.#queue.accept(nowMs);
      this.#queuedSinceMs = null;
    }
  }

  #isQueueLasting(nowMs: number): boolean {
    return this.#queuedSinceMs !== null && nowMs - this.#queuedSinceMs > this.#lastingMs();
  }

  #lastingMs(): number {
    return Math.max(LASTING_MS_MIN, LASTING_ROUND_TRIPS * this.#loopMs());
  }

  /** The path has shown that it is the limit. */
  #limited(nowMs: number): void {
    if (this.#phase === "startup") this.#dipFromMs = nowMs + (this.#isShort ? DIP_INTERVAL_MS : this.#dipIntervalMs);
    this.#phase = "cruise";
    if (!this.#isHolding(nowMs)) {
      this.#holdMs = this.#isNearLimit ? Math.min(HOLD_MS_MAX, 2 * this.#holdMs) : HOLD_MS_MIN;
      this.#limitedEstimate = this.#estimate;
      this.#limitedAtMs = nowMs;
    }
    this.#restartProbe(nowMs);
  }

  #watchProbe(nowMs: number, isPaced: boolean): void {
    const sinceMs = this.#probeSinceMs ??= nowMs;
    const isStartup = this.#phase === "startup";
    if (this.#wasDark) {
      this.#wasDark = false;
      this.#probe = this.#isShort ? PROBE_SHORT_STARTUP : PROBE_MOST;
      this.#probeSinceMs = nowMs;
    }
    if (!isStartup && this.#isShort && this.#isHolding(nowMs)) {
      this.#restartProbe(nowMs);
    } else if (!isStartup && !this.#isShort && this.#isQueued) {
      if (nowMs - this.#halvedAtMs > this.#loopMs()) {
        this.#probe = Math.max(PROBE_LEAST, this.#probe / 2);
        this.#halvedAtMs = nowMs;
      }
      this.#probeSinceMs = nowMs;
    } else if (!isPaced) this.#probeSinceMs = nowMs;
    else if (nowMs - sinceMs > Math.max(PROBE_MS_MIN, 2 * this.#loopMs())) {
      // Near a known limit a short path is asked for little, until that has found more.
      const most = this.#isShort && isStartup ? PROBE_SHORT_STARTUP : PROBE_MOST;
      const isNear = this.#isShort && this.#isNearLimit && ++this.#probes < NEAR_PROBES;
      if (!isNear) this.#probe = Math.min(most, 2 * this.#probe);
      this.#probeSinceMs = nowMs;
    }
  }

  get #isQueued(): boolean {
    return this.#excessMs > this.#allowedMs() / 2;
  }

  /** Delay that only a queue can be. */
  get #excessMs(): number {
    return this.#isShort ? this.#queue.ms : Math.max(0, this.#queue.ms - this.#noise.queueMs);
  }

  #restartProbe(nowMs: number): void {
    this.#probe = this.#isShort && this.#isNearLimit ? PROBE_NEAR : PROBE_LEAST;
    this.#probes = 0;
    this.#probeFrom = this.#estimate;
    this.#probeSinceMs = nowMs;
  }

  #gain(nowMs: number, isPaced: boolean): number {
    if (nowMs >= this.#dipFromMs) {
      this.#dipNoiseMs ??= this.#noise.queueMs;
      const dipMs = nowMs - this.#dipFromMs;
      if (isPaced && dipMs < (this.#isShort ? this.#loopMs() : this.#loopMs() + 100 + 5 * this.#queue.ms)) return this.#isShort ? DIP_GAIN : Math.min(0.7, 0.7);
      if (this.#noise.queueMs > this.#dipNoiseMs + this.#allowedMs() / 4) this.#dipIntervalMs = Math.max(500, 5 * dipMs);
      else this.#dipIntervalMs = Math.max(500, 5 * dipMs, Math.min(DIP_INTERVAL_MS, 2 * this.#dipIntervalMs));
      this.#dipNoiseMs = null;
      this.#dipFromMs = nowMs + this.#dipIntervalMs;
    }
    const wantedMs = this.#allowedMs() / 2;
    const excessMs = this.#excessMs - wantedMs;
    const drained = Math.max(GAIN_MIN, 1 - DRAIN * Math.max(0, excessMs) / this.#loopMs());
    if (this.#isShort) {
      const held = this.#isHolding(nowMs) ? -this.#headroom.ratio : this.#probe;
      return Math.min(excessMs > 0 ? drained : Infinity, 1 + held);
    }
    const isUnsure = this.#phase === "startup" && this.#carriedRatio > 0.95;
    if (excessMs > 0) return isUnsure ? 1.25 : drained;
    return 1 - this.#probe * excessMs / wantedMs;
  }

  /** True where the estimate is about what it was when the path last was the limit. */
  get #isNearLimit(): boolean {
    return Math.abs(this.#estimate / this.#limitedEstimate - 1) < SAME_LIMIT_RATIO;
  }

  get #isRoom(): boolean {
    return this.#minRoundTripMs < ROOM_ROUND_TRIP_MS;
  }

  get #isShort(): boolean {
    return this.#minRoundTripMs < SHORT_ROUND_TRIP_MS;
  }

  /** On a short path whose limit was just met: stay below it. */
  #isHolding(nowMs: number): boolean {
    return this.#isShort && nowMs - this.#limitedAtMs < this.#holdMs;
  }

  #allowedMs(): number {
    const noiseMs = this.#isShort ? Math.min(NOISE_MS_MAX, NOISE_GAIN * this.#noiseMs) : 0;
    const ms = Math.max(QUEUE_MS_MIN, QUEUE_RATIO * this.#minRoundTripMs, noiseMs);
    const bytes = this.#isShort ? SHORT_QUEUE_BYTES_MIN : QUEUE_BYTES_MIN;
    return Math.max(Math.min(QUEUE_MS_MAX, ms), bytes * 1000 / this.#estimate);
  }

  /** From a change of the rate until its effect is seen. */
  #loopMs(): number {
    return this.#minRoundTripMs + LOOP_MS_MIN;
  }
}

function clamp(bytesPerSecond: number): number {
  return Math.min(CEILING_BYTES_PER_SECOND, Math.max(FLOOR_BYTES_PER_SECOND, bytesPerSecond));
}
