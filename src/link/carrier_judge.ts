import type { CarrierKind } from "./carrier.ts";
import { FAR_ROUND_TRIP_MS } from "./far_path.ts";

/** A figure is the mean of so long a stretch in which there was always something to send. */
export const MEASURE_MS = 5_000;
/** Not counted after a change: the new connections find out what the path carries. */
export const SETTLE_MS = 3_000;
/** A trial that came to no figure in this time, for want of anything to send, is over. */
export const TRIAL_MS_MAX = 30_000;
/** From one trial to the next; doubled each time that one changed nothing, up to the second. */
export const TRIAL_PAUSE_MS = 10 * 60_000;
export const TRIAL_PAUSE_MS_MAX = 4 * 60 * 60_000;
/** Figures older than this say nothing about the path of today. */
export const FIGURE_MS_MAX = 10 * 60_000;

/** Better is so much more goodput, or nearly as much for so much less work. */
export const GOODPUT_GAIN = 1.15;
const GOODPUT_ALIKE = 0.97;
const COST_GAIN = 0.7;

/** QUIC that takes a whole core is limited by it; below this rate it takes far less by itself. */
const CPU_SHARE_BUSY = 0.85;
const CPU_GOODPUT_MIN = 20e6;
/**
 * Where TCP has BBR it is compared after so many figures of QUIC: a trial costs seconds of a slower
 * link, and most moves are over before.
 */
export const FIGURES_BEFORE_BBR = 12;
/**
 * Up to this round trip a kernel that has BBR paces better than a program, which is late by as much
 * as the path's queue is long; see decision 028. From so much more on it does not, and there TLS is
 * left again that was taken for the path being short.
 */
export const SHORT_ROUND_TRIP_MS = 50;
const SHORT_NO_MORE_RATIO = 1.5;

/** Loss at which UDP may be what somebody in between throttles. */
const LOSS_SUSPECT = 0.05;
/** Loss from which on TCP is worth a trial only where it is known to have BBR. */
const LOSS_FATAL = 0.001;

/** What a link did since the last look at it. */
export interface CarrierSample {
  readonly nowMs: number;
  readonly kind: CarrierKind;
  /** Something waited for the carrier all the time. */
  readonly isBusy: boolean;
  readonly goodputBytesPerSecond: number | null;
  /** CPU of this process since the last look, in cores; null where it cannot be told. */
  readonly cpuShare: number | null;
  readonly lossRatio: number | null;
  /** Least of late; null while unknown. */
  readonly minRoundTripMs: number | null;
  /** What TCP has here, or would have, as far as known. */
  readonly congestionControl: string | null;
  /** False while the other kind is known not to pass: figures are taken and nothing is tried. */
  readonly canTry: boolean;
}

/** A change to another carrier, or staying with one after a trial, and why. */
export interface Verdict {
  readonly kind: CarrierKind;
  readonly reason: string;
  /** The change is for a comparison: another verdict follows. */
  readonly isTrial: boolean;
}

interface Figure {
  readonly atMs: number;
  readonly goodputBytesPerSecond: number;
  /** CPU seconds for each byte; null where it cannot be told. */
  readonly cpuPerByte: number | null;
  readonly cpuShare: number | null;
  readonly lossRatio: number | null;
}

interface Trial {
  readonly kind: CarrierKind;
  readonly startedMs: number;
  readonly before: Figure;
}

/**
 * Compares carriers by what they carried, and says when to try the other one: when a core is the
 * limit, when UDP loses so much that it may be throttled, or when TCP has BBR, with which it costs
 * a third. Pure, time is an argument.
 */
export class CarrierJudge {
  readonly #figures = new Map<CarrierKind, Figure>();
  #kind: CarrierKind | null = null;
  #changedMs = -Infinity;
  #stretch: CarrierSample[] = [];
  #figuresSinceChange = 0;
  #trial: Trial | null = null;
  #nextTrialMs = -Infinity;
  #vainTrials = 0;
  /** TLS is used for the path being short, and not for what was measured. */
  #isForShort = false;

  /** @param shortMs round trip up to which a path is short, ms; 0: none is */
  constructor(private readonly shortMs = SHORT_ROUND_TRIP_MS) {}

  /** Takes in one look; a verdict when something should change, or a trial has ended. */
  observe(sample: CarrierSample): Verdict | null {
    const { nowMs, kind } = sample;
    if (kind !== this.#kind) {
      this.#kind = kind;
      this.#changedMs = nowMs;
      this.#stretch = [];
      this.#figuresSinceChange = 0;
      if (this.#trial !== null && this.#trial.kind !== kind) this.cancel(nowMs);
    }
    if (!sample.isBusy || nowMs - this.#changedMs < SETTLE_MS) this.#stretch = [];
    else this.#stretch.push(sample);
    const byLength = this.#byLength(sample);
    if (byLength !== null) return byLength;
    const first = this.#stretch[0];
    if (first && nowMs - first.nowMs >= MEASURE_MS) {
      const figure = figureOf(this.#stretch, nowMs);
      this.#stretch = [];
      this.#figures.set(kind, figure);
      this.#figuresSinceChange++;
      if (this.#trial !== null) return this.#conclude(this.#trial, figure);
      return sample.canTry && nowMs >= this.#nextTrialMs ? this.#consider(sample, figure) : null;
    }
    if (this.#trial !== null && nowMs - this.#trial.startedMs > TRIAL_MS_MAX) {
      return this.#giveUp(this.#trial, nowMs);
    }
    return null;
  }

  /** A trial that could not be: the other kind did not connect, or did not last. */
  cancel(nowMs: number): void {
    this.#trial = null;
    this.#pauseTrials(nowMs, false);
  }

  /** Short paths are left to the kernel without a comparison: most moves over them are over before. */
  #byLength(
    { nowMs, kind, minRoundTripMs, congestionControl, canTry }: CarrierSample,
  ): Verdict | null {
    if (minRoundTripMs === null || this.#trial !== null) return null;
    const length = `a round trip of ${Math.round(minRoundTripMs)} ms`;
    if (kind === "quic") {
      this.#isForShort = false;
      const isTried = this.#figures.has("tls") || nowMs < this.#nextTrialMs;
      if (minRoundTripMs > this.shortMs || congestionControl !== "bbr") return null;
      if (isTried || !canTry) return null;
      this.#isForShort = true;
      return {
        kind: "tls",
        reason: `TCP has BBR here, and the path is short: ${length}`,
        isTrial: false,
      };
    }
    if (!this.#isForShort) return null;
    // Null: not known yet.
    if (congestionControl !== null && congestionControl !== "bbr") {
      this.cancel(nowMs);
      return { kind: "quic", reason: `TCP has no BBR here: ${congestionControl}`, isTrial: false };
    }
    if (minRoundTripMs < SHORT_NO_MORE_RATIO * this.shortMs) return null;
    return { kind: "quic", reason: `the path is not short any more: ${length}`, isTrial: false };
  }

  /** Whether the other kind is to be tried, or was better all along. */
  #consider(sample: CarrierSample, figure: Figure): Verdict | null {
    const { nowMs, kind } = sample;
    const other = kind === "quic" ? "tls" : "quic";
    const known = this.#figures.get(other);
    if (known && nowMs - known.atMs <= FIGURE_MS_MAX) {
      const gain = gainOf(known, figure);
      if (gain !== null) {
        this.#pauseTrials(nowMs, true);
        return { kind: other, reason: `it measured better: ${gain}`, isTrial: false };
      }
    }
    // Whoever has not left QUIC for what was measured has no reason to compare.
    const whyQuic = known === undefined || this.#isForShort
      ? null
      : "it was long ago that it measured worse";
    const why = kind === "quic"
      ? whyTryTls(sample, figure, this.#figuresSinceChange >= FIGURES_BEFORE_BBR)
      : whyQuic;
    if (why === null) return null;
    this.#trial = { kind: other, startedMs: nowMs, before: figure };
    return { kind: other, reason: `trial: ${why}`, isTrial: true };
  }

  #conclude({ kind, before }: Trial, figure: Figure): Verdict {
    this.#trial = null;
    const gain = gainOf(figure, before);
    this.#pauseTrials(figure.atMs, gain !== null);
    if (gain !== null) return { kind, reason: `it measured better: ${gain}`, isTrial: false };
    const figures = `${rate(figure.goodputBytesPerSecond)} against ` +
      rate(before.goodputBytesPerSecond);
    const back = kind === "quic" ? "tls" : "quic";
    return { kind: back, reason: `the other did not measure better: ${figures}`, isTrial: false };
  }

  #giveUp({ kind }: Trial, nowMs: number): Verdict {
    this.cancel(nowMs);
    const back = kind === "quic" ? "tls" : "quic";
    return { kind: back, reason: "the trial ended for want of anything to send", isTrial: false };
  }

  #pauseTrials(nowMs: number, wasOfUse: boolean): void {
    this.#vainTrials = wasOfUse ? 0 : this.#vainTrials + 1;
    const pauseMs = TRIAL_PAUSE_MS * 2 ** Math.max(0, this.#vainTrials - 1);
    this.#nextTrialMs = nowMs + Math.min(TRIAL_PAUSE_MS_MAX, pauseMs);
  }
}

function whyTryTls(sample: CarrierSample, figure: Figure, isLong: boolean): string | null {
  const { cpuShare, lossRatio, goodputBytesPerSecond } = figure;
  const isLossy = lossRatio !== null && lossRatio > LOSS_FATAL;
  if (isLossy && sample.congestionControl !== "bbr") return null;
  const isFast = goodputBytesPerSecond >= CPU_GOODPUT_MIN;
  if (isFast && cpuShare !== null && cpuShare >= CPU_SHARE_BUSY) {
    return `QUIC is limited by the processor (${cpuShare.toFixed(2)} cores)`;
  }
  if (lossRatio !== null && lossRatio >= LOSS_SUSPECT) {
    return `UDP loses ${(lossRatio * 100).toFixed(1)} %`;
  }
  const isFar = sample.minRoundTripMs !== null && sample.minRoundTripMs >= FAR_ROUND_TRIP_MS;
  return isLong && !isFar && sample.congestionControl === "bbr" ? "TCP has BBR here" : null;
}

/** How `one` is better than `other`; null where it is not. */
function gainOf(one: Figure, other: Figure): string | null {
  const goodput = one.goodputBytesPerSecond / Math.max(1, other.goodputBytesPerSecond);
  const figures = `${rate(one.goodputBytesPerSecond)} against ${rate(other.goodputBytesPerSecond)}`;
  if (goodput >= GOODPUT_GAIN) return figures;
  if (goodput < GOODPUT_ALIKE || one.cpuPerByte === null || other.cpuPerByte === null) return null;
  const cost = one.cpuPerByte / other.cpuPerByte;
  return cost <= COST_GAIN ? `${figures}, at ${cost.toFixed(2)} of the processor time` : null;
}

function figureOf(stretch: readonly CarrierSample[], nowMs: number): Figure {
  const goodputs = stretch.map((sample) => sample.goodputBytesPerSecond ?? 0);
  const goodputBytesPerSecond = mean(goodputs);
  const shares = stretch.map(({ cpuShare }) => cpuShare).filter((share) => share !== null);
  const cpuShare = shares.length === 0 ? null : mean(shares);
  return {
    atMs: nowMs,
    goodputBytesPerSecond,
    cpuPerByte: cpuShare === null ? null : cpuShare / Math.max(1, goodputBytesPerSecond),
    cpuShare,
    lossRatio: stretch.at(-1)!.lossRatio,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rate(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e6).toFixed(2)} MB/s`;
}
