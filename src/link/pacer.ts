import { QueueAllowance } from "./pacer_allowance.ts";
import { ArrivedRate } from "./pacer_arrivals.ts";
import { ReadBacklog } from "./pacer_backlog.ts";
import { CarriedRatio } from "./pacer_carried.ts";
import { Darkness } from "./pacer_darkness.ts";
import { Dips } from "./pacer_dip.ts";
import { BottleneckEstimate, clampRate, FALL } from "./pacer_estimate.ts";
import { FirstFlight } from "./pacer_flight.ts";
import { Headroom } from "./pacer_headroom.ts";
import { LimitHold } from "./pacer_hold.ts";
import type { PacerInput } from "./pacer_input.ts";
import { PathNoise } from "./pacer_noise.ts";
import { Overflow } from "./pacer_overflow.ts";
import { Overshoot } from "./pacer_overshoot.ts";
import { Probe } from "./pacer_probe.ts";
import { QueueDelay } from "./pacer_queue.ts";
import type { DeliverySample } from "./path_delivery.ts";

/** First guess: slow enough for a DSL line, doubled every round trip from there. */
export const START_BYTES_PER_SECOND = 500_000;

/** How strongly the rate answers to the queue: 1 would drain it within one round trip. */
const DRAIN = 0.5;
const GAIN_MIN = 0.5;

/** First guess on a short path, for each of its round trips, and the most that it may come to. */
const START_WINDOW_BYTES = 30_000;
const START_BYTES_PER_SECOND_MOST = 12_500_000;
/** A path that carries less of what was sent, on the mean of some round trips, is the limit. */
const CARRIED_RATIO_LEAST = 0.9;
/**
 * At the start delay alone says little: only where less than this is carried it is a queue. Where
 * the mean is of few reports, jitter of half the one-way time takes 0.1 more from it.
 */
const STARTUP_SURE = 0.95;
const FAR_STARTUP_SURE = 0.9;
const FAR_STARTUP_LEAST = 0.8;
const FAR_LOOP_MS = 90;
/** Beside a queue the mean of a shorter time will do. */
const LATELY_CARRIED_LEAST = 0.85;
/** A mean over longer turns than this would tell of the limit too late. */
const STARTUP_LOOP_MS_MAX = 250;
/** As long as more is, delay makes the start slower, no more. */
const UNSURE_GAIN = 1.25;
/** On a short path a probe that loses more than this, two of 25 marks, has met the limit as well. */
const SHORT_LOSS_RATIO = 0.06;
/** While one goes on to lose this, the estimate is at most so much above what the peer reads. */
const SHORT_EXCESS_LOSS_RATIO = 0.015;
const READ_GAIN = 1.1;

/** When a queue has lasted so long, only what was measured meanwhile counts. */
const LASTING_ROUND_TRIPS = 2;
const LASTING_MS_MIN = 100;
/** The estimate falls by at most this share in that time where only a queue says so. */
const FALL_BY_QUEUE = 0.15;
/** A sample of what the path carried lowers the estimate when it is below what was sent by this. */
const CARRIED_RATIO = 0.96;
/** More arrives than is sent by this while a queue empties. */
const DRAINED_RATIO = 1.05;
/** A queue that stays this long is not ours to drain. */
const FOREIGN_ROUND_TRIPS = 10;
const FOREIGN_MS_MIN = 1_000;
/** Without a report for so long the path was dark, or a program stood still. */
const SILENCE_MS = 600;

/** On shorter paths a queue is over before it shows among the delays of the programs. */
const SHORT_ROUND_TRIP_MS = 30;
/** Shorter paths get no window for noise. */
const NOISE_ROUND_TRIP_MS_MIN = 10;

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

/**
 * Finds the bottleneck's rate and keeps its queue short; pure, time is an argument.
 *
 * The estimate is the best delivery rate of the last round trips. The rate is the estimate times a
 * gain: above one while there is no queue (by two at the start and where nothing shows that the
 * path is the limit, else by little), below one in proportion to the queue's delay, so that a short
 * queue remains and the link never idles. The estimate only ever grows by what has arrived, so
 * asking for too much does not raise it. Random loss is no sign of congestion, except on short
 * paths, see `Headroom`; and of the delay only what exceeds the path's jitter, see `PathNoise`.
 *
 * Akin to BBR (Cardwell et al., ACM Queue 2016) in measuring the delivery rate, to TCP Vegas
 * (Brakmo and Peterson, 1995) and Copa (Arun and Balakrishnan, NSDI 2018) in judging by delay.
 */
export class Pacer {
  #phase: PacerPhase = "startup";
  #rate = START_BYTES_PER_SECOND;
  readonly #estimate = new BottleneckEstimate(START_BYTES_PER_SECOND);
  readonly #queue = new QueueDelay();
  readonly #allowance = new QueueAllowance();
  readonly #noise = new PathNoise();
  readonly #arrived = new ArrivedRate();
  readonly #overflow = new Overflow();
  readonly #carried = new CarriedRatio(3, 300);
  /** The same over a shorter time. */
  readonly #latelyCarried = new CarriedRatio(1.5, 100);
  readonly #headroom = new Headroom();
  readonly #backlog = new ReadBacklog();
  readonly #darkness = new Darkness();
  readonly #dips = new Dips();
  readonly #probe = new Probe();
  readonly #flight = new FirstFlight();
  readonly #overshoot = new Overshoot();
  readonly #shortHold = new LimitHold();
  #takenAtMs: number | null = null;
  /** When the estimate last fell for what is not read. */
  #behindAtMs = -Infinity;
  /** Since when the queue is longer than allowed. */
  #queuedSinceMs: number | null = null;
  #minRoundTripMs = 100;

  get phase(): PacerPhase {
    return this.#phase;
  }

  /** The start of a path that is not short: the faster it is known, the better. */
  get isDoubling(): boolean {
    return this.#phase === "startup" && !this.#isShort;
  }

  get rateBytesPerSecond(): number {
    return this.#rate;
  }

  /** Null until the bottleneck was seen. */
  get bottleneckBytesPerSecond(): number | null {
    return this.#phase === "startup" ? null : this.#estimate.bytesPerSecond;
  }

  get queueMs(): number {
    return this.#queue.ms;
  }

  /** Bytes that may be under way at once: what fills path and a short queue. */
  get windowBytes(): number {
    const queueMs = this.#isShort ? 0 : this.#allowedMs();
    // There, what the programs are late by is as long as the queue: a window for it fills the queue.
    const noiseMs = this.#minRoundTripMs < NOISE_ROUND_TRIP_MS_MIN ? 0 : this.#noise.roundTripMs;
    const ms = this.#minRoundTripMs + noiseMs + queueMs + WINDOW_SLACK_MS;
    const least = this.#isRoom ? ROOM_WINDOW_BYTES_MIN : WINDOW_BYTES_MIN;
    return Math.max(least, (1 + this.#probe.ratio) * this.#estimate.bytesPerSecond * ms / 1000);
  }

  /** How much of missed turns is caught up with. */
  get memoryMs(): number {
    return Math.min(MEMORY_MS_MAX, Math.max(MEMORY_MS_MIN, MEMORY_RATIO * this.#minRoundTripMs));
  }

  take(input: PacerInput): void {
    const { nowMs, transitMs, delivery, isPaced, isHasty } = input;
    this.#minRoundTripMs = input.minRoundTripMs;
    if (this.#takenAtMs === null) this.#start(nowMs);
    else if (nowMs - this.#takenAtMs > SILENCE_MS) this.#resume(nowMs);
    this.#takenAtMs = nowMs;
    if (transitMs !== null) this.#queue.add(transitMs, nowMs, this.#minRoundTripMs);
    if (delivery !== null) this.#estimateFrom(delivery, input);
    const isSettled = this.#isShort && this.#shortHold.isSettled(nowMs);
    this.#headroom.take(isSettled ? delivery?.newLossRatio ?? null : null, nowMs);
    // Below the limit there is no queue: what looks like one then is jitter, or a busy program.
    if (isSettled) this.#allowance.noticeEmpty(this.#queue.ms);
    if (delivery !== null) this.#learnNoise(input, delivery, isSettled);
    this.#watchBacklog(input);
    this.#watchQueue(nowMs, isPaced);
    this.#watchProbe(nowMs, isPaced);
    if (this.#isRoom && this.#estimate.bytesPerSecond < ROOM_BYTES_PER_SECOND_MIN) {
      this.#estimate.assume(ROOM_BYTES_PER_SECOND_MIN);
    }
    const sentBytesPerSecond = delivery?.sentBytesPerSecond ?? null;
    this.#flight.take({ sentBytesPerSecond, isPaced, loopMs: this.#loopMs(), nowMs });
    const rate = this.#estimate.bytesPerSecond * this.#gain(nowMs, isPaced);
    this.#rate = clampRate(isHasty && this.isDoubling ? this.#flight.rate(rate) : rate);
  }

  #start(nowMs: number): void {
    const bytesPerSecond = START_WINDOW_BYTES * 1000 / Math.max(1, this.#minRoundTripMs);
    this.#estimate.assume(
      Math.max(START_BYTES_PER_SECOND, Math.min(START_BYTES_PER_SECOND_MOST, bytesPerSecond)),
    );
    this.#probe.open(this.#isShort, this.#estimate.bytesPerSecond, nowMs);
  }

  /** Silence says nothing about the path: what was known before still holds, what was meant not. */
  #resume(nowMs: number): void {
    this.#estimate.resume(nowMs);
    this.#carried.reset();
    this.#queuedSinceMs = null;
    this.#darkness.resume(nowMs);
    this.#shortHold.end();
    if (this.#phase === "cruise") this.#dips.postpone(nowMs);
    this.#restartProbe(nowMs);
  }

  #learnNoise(input: PacerInput, delivery: DeliverySample, isSettled: boolean): void {
    const { nowMs, roundTripMs, minRoundTripMs } = input;
    this.#arrived.add(input.arrivedBytes, input.arrivedAtMs);
    const { sentBytesPerSecond } = delivery;
    const arrivedBytesPerSecond = this.#arrived.bytesPerSecond;
    const queueMs = this.#queue.ms;
    const noise = {
      nowMs,
      queueMs,
      roundTripMs,
      minRoundTripMs,
      sentBytesPerSecond,
      arrivedBytesPerSecond,
    };
    if (this.#isShort) {
      if (isSettled) this.#noise.takeEmpty(noise);
      return;
    }
    if (delivery.newLossRatio !== null) this.#overflow.take(delivery.newLossRatio, nowMs);
    // What was learnt may have been the queue that overflows now.
    if (this.#overflow.isSeen) this.#noise.doubt(nowMs);
    else this.#noise.take(noise);
  }

  #estimateFrom(delivery: DeliverySample, input: PacerInput): void {
    const { nowMs, isPaced } = input;
    const { sentBytesPerSecond, carriedBytesPerSecond, arrivedBytesPerSecond } = delivery;
    this.#watchCarried(delivery, input);
    const estimate = this.#estimate.bytesPerSecond;
    let known = carriedBytesPerSecond;
    let fall = FALL;
    // What was not sent, for lack of data or of turns, could not arrive: no reason for less, unless
    // it was the window that kept it back because of a queue.
    const isWindowFull = this.#isQueued && carriedBytesPerSecond < CARRIED_RATIO_LEAST * this.#rate;
    const isCarried = carriedBytesPerSecond > CARRIED_RATIO * sentBytesPerSecond;
    if (!isPaced || (isCarried && !isWindowFull)) {
      known = Math.max(known, estimate);
      fall = FALL_BY_QUEUE;
    }
    // Out of a queue that stays comes what the bottleneck can do, however little goes in.
    // Where what arrives is just what was sent, no queue is being drained: the delay is the programs'
    // (a busy machine), and to believe it would spiral, because less sent is less arrived.
    const isOurs = arrivedBytesPerSecond > DRAINED_RATIO * sentBytesPerSecond ||
      carriedBytesPerSecond < CARRIED_RATIO_LEAST * sentBytesPerSecond;
    const isLasting = this.#isQueueLasting(nowMs);
    if (isOurs && isLasting) known = Math.min(known, arrivedBytesPerSecond);
    // Jitter makes moments that look better than the path: a queue that lasts was fed by them.
    const bestArrived = this.#arrived.bytesPerSecond;
    if (isLasting && isPaced && !this.#isShort && bestArrived > 0) {
      known = Math.min(known, bestArrived);
    }
    const isHidden = this.#overshoot.hides(this.#isTooLong, delivery.excessLossRatio, nowMs);
    if (isHidden) known = Math.min(known, estimate);
    const [lastingMs, loopMs] = [this.#lastingMs(), this.#loopMs()];
    this.#estimate.take(known, nowMs, { fall, lastingMs, loopMs });
  }

  #watchCarried(delivery: DeliverySample, { nowMs, isPaced, isHasty }: PacerInput): void {
    const { sentBytesPerSecond, carriedBytesPerSecond, arrivedBytesPerSecond } = delivery;
    // On a long path jitter makes single samples better and worse, and their mean is what counts.
    const carried = this.#isShort ? carriedBytesPerSecond : arrivedBytesPerSecond;
    const isStartup = this.#phase === "startup";
    const loopMs = isStartup ? Math.min(STARTUP_LOOP_MS_MAX, this.#loopMs()) : this.#loopMs();
    // Of the first flight jitter alone makes less arrive than was sent.
    const isTold = isPaced && !(isHasty && this.#flight.isUnderWay);
    const ratio = isTold ? carried / sentBytesPerSecond : 1;
    this.#carried.take(ratio, loopMs, nowMs);
    this.#latelyCarried.take(ratio, loopMs, nowMs);
    // Once held, loss only widens the headroom.
    const lossRatioMax = SHORT_LOSS_RATIO + 2 * this.#headroom.randomLossRatio;
    const isLossy = this.#isShort && !this.#isHolding(nowMs) &&
      (delivery.newLossRatio ?? 0) > lossRatioMax;
    // What a probe seemed to find was the part of it that got through.
    if (isLossy) this.#estimate.lower(this.#probe.fromBytesPerSecond, nowMs);
    const least = isStartup && this.#isFar ? FAR_STARTUP_LEAST : CARRIED_RATIO_LEAST;
    // A queue beside it is no chance, and a start that goes on for long overflows it.
    const isOver = isHasty && this.#isTooLong && this.#latelyCarried.value < LATELY_CARRIED_LEAST;
    if (this.#carried.value < least || isOver || isLossy) this.#limited(nowMs);
  }

  #watchBacklog({ sentBytes, readBytes, nowMs, minRoundTripMs, isPaced }: PacerInput): void {
    const { bytesPerSecond } = this.#estimate;
    if (this.#darkness.take(sentBytes, readBytes, bytesPerSecond, this.#lastingMs(), nowMs)) {
      this.#probe.open(this.#isShort, bytesPerSecond, nowMs);
    }
    const readRate = this.#backlog.take(sentBytes, readBytes, nowMs, minRoundTripMs);
    const meanReadRate = this.#backlog.readBytesPerSecond;
    if (
      this.#isShort && isPaced && meanReadRate !== null &&
      this.#headroom.excessLossRatio > SHORT_EXCESS_LOSS_RATIO
    ) this.#estimate.lower(READ_GAIN * meanReadRate, nowMs);
    if (readRate === null || !isPaced || readRate >= bytesPerSecond) return;
    // Every report says it again until what was sent too much has been read: once is enough.
    if (nowMs - this.#behindAtMs > this.#lastingMs()) {
      this.#estimate.lower(Math.max(readRate, this.#darkness.floorBytesPerSecond), nowMs);
      this.#behindAtMs = nowMs;
    }
    this.#limited(nowMs);
  }

  #watchQueue(nowMs: number, isPaced: boolean): void {
    if (!this.#isTooLong) {
      this.#queuedSinceMs = null;
      return;
    }
    this.#queuedSinceMs ??= nowMs;
    const queuedMs = nowMs - this.#queuedSinceMs;
    const loopMs = this.#loopMs();
    // Programs pause as well; a queue that is ours stays.
    const isStartup = this.#phase === "startup";
    const isSure = this.#isShort || (isStartup && !this.#isUnsure);
    // Before anything of ours fills the path its delay is a busy program's, or other traffic's.
    const isOurs = !isStartup || isPaced;
    if (queuedMs > loopMs / 2 && isSure && isOurs) this.#limited(nowMs);
    // A queue in spite of our restraint: the bottleneck has become slower, believe the latest.
    if (this.#isQueueLasting(nowMs)) this.#estimate.believeSince(nowMs - this.#lastingMs());
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
    this.#dips.begin(nowMs, this.#isShort);
    if (this.isDoubling) this.#overshoot.begin(this.#loopMs(), nowMs);
    this.#phase = "cruise";
    if (this.#isShort) this.#shortHold.met(this.#estimate.bytesPerSecond, nowMs);
    this.#restartProbe(nowMs);
  }

  #watchProbe(nowMs: number, isPaced: boolean): void {
    const isStartup = this.#phase === "startup";
    const loopMs = this.#loopMs();
    if (!isStartup && this.#isHolding(nowMs)) this.#restartProbe(nowMs);
    else if (!isStartup && !this.#isShort && this.#isQueued) this.#probe.halve(loopMs, nowMs);
    else if (!isPaced) this.#probe.wait(nowMs);
    else this.#probe.grow(loopMs, this.#isShort && isStartup, this.#isNearLimit, nowMs);
  }

  #restartProbe(nowMs: number): void {
    this.#probe.restart(this.#isNearLimit, this.#estimate.bytesPerSecond, nowMs);
  }

  #gain(nowMs: number, isPaced: boolean): number {
    const isShort = this.#isShort;
    const dip = this.#dips.gain({
      nowMs,
      isPaced,
      isShort,
      loopMs: this.#loopMs(),
      queueMs: this.#queue.ms,
      noiseMs: this.#noise.queueMs,
      allowedMs: this.#allowedMs(),
    });
    if (dip !== null) return dip;
    const wantedMs = this.#allowedMs() / 2;
    const excessMs = this.#excessMs - wantedMs;
    const drained = Math.max(GAIN_MIN, 1 - DRAIN * Math.max(0, excessMs) / this.#loopMs());
    if (isShort) {
      const held = this.#isHolding(nowMs) ? -this.#headroom.ratio : this.#probe.ratio;
      return Math.min(excessMs > 0 ? drained : Infinity, 1 + held);
    }
    if (excessMs <= 0) return 1 - this.#probe.ratio * excessMs / wantedMs;
    return this.#phase === "startup" && this.#isUnsure ? UNSURE_GAIN : drained;
  }

  /** Delay that only a queue can be. */
  get #excessMs(): number {
    return this.#isShort ? this.#queue.ms : Math.max(0, this.#queue.ms - this.#noise.queueMs);
  }

  get #isQueued(): boolean {
    return this.#excessMs > this.#allowedMs() / 2;
  }

  /** True where the queue is longer than allowed. */
  get #isTooLong(): boolean {
    return this.#excessMs > this.#allowedMs();
  }

  /** True while what is sent arrives: delay may be jitter. */
  get #isUnsure(): boolean {
    return this.#carried.value > (this.#isFar ? FAR_STARTUP_SURE : STARTUP_SURE);
  }

  /** True on a short path that is about where it last met its limit. */
  get #isNearLimit(): boolean {
    return this.#isShort && this.#shortHold.isNear(this.#estimate.bytesPerSecond);
  }

  get #isRoom(): boolean {
    return this.#minRoundTripMs < ROOM_ROUND_TRIP_MS;
  }

  get #isFar(): boolean {
    return this.#loopMs() > FAR_LOOP_MS;
  }

  get #isShort(): boolean {
    return this.#minRoundTripMs < SHORT_ROUND_TRIP_MS;
  }

  /** On a short path whose limit was just met: stay below it. */
  #isHolding(nowMs: number): boolean {
    return this.#isShort && this.#shortHold.isHolding(nowMs);
  }

  #allowedMs(): number {
    const { bytesPerSecond } = this.#estimate;
    return this.#allowance.ms(this.#isShort, this.#minRoundTripMs, bytesPerSecond);
  }

  /** From a change of the rate until its effect is seen. */
  #loopMs(): number {
    return this.#minRoundTripMs + LOOP_MS_MIN;
  }
}
