import { growthOf } from "./growth.ts";
import type { Sample, SoakResult } from "./run.ts";
import type { SiteName } from "./sites.ts";

const MIB = 1024 * 1024;
/** Caches, compiled code and pools fill up at first: that part says nothing about the long run. */
const WARM_UP_RATIO = 1 / 3;
const SAMPLES_MIN = 4;
/** The heap grows to its working size in the first minutes; a shorter run bounds it only. */
const RESIDENT_SECONDS_MIN = 180;
const RESIDENT_BYTES_MAX = 512 * MIB;
/** Sockets of a redial or of clients come and go by the ten; a leak outlasts them. */
const SWING_SECONDS_MIN = 120;
const HANDLES_MAX = 256;

/** What one figure may rise by over the time that is judged. */
interface Allowance {
  readonly name: string;
  readonly value: (sample: Sample) => number;
  readonly riseMax: (mean: number, moves: number) => number;
  readonly show: (value: number) => string;
  /** A shorter time says nothing about the long run. */
  readonly secondsMin?: number;
  /** Never more than this, however short the run. */
  readonly most?: number;
}

const mib = (value: number) => `${(value / MIB).toFixed(1)} MiB`;

const ALLOWANCES: readonly Allowance[] = [
  {
    // The collector of V8 lets the heap swing by some tens of MiB.
    name: "resident",
    value: ({ residentBytes }) => residentBytes,
    riseMax: (mean) => Math.max(48 * MIB, 0.15 * mean),
    show: mib,
    secondsMin: RESIDENT_SECONDS_MIN,
    most: RESIDENT_BYTES_MAX,
  },
  {
    name: "handles",
    value: ({ handles }) => handles,
    riseMax: () => 8,
    show: (value) => value.toFixed(1),
    secondsMin: SWING_SECONDS_MIN,
    most: HANDLES_MAX,
  },
  {
    name: "state",
    value: ({ stateBytes }) => stateBytes,
    riseMax: () => 24 * MIB,
    show: mib,
  },
  {
    // Records of a move stay for ever; so much of them, and no more.
    name: "ledger",
    value: ({ ledgerBytes }) => ledgerBytes,
    riseMax: (_, moves) => 4 * MIB + moves * 128 * 1024,
    show: mib,
  },
];

/** One figure of one gateway in the long run. */
export interface Judgement {
  readonly site: SiteName;
  readonly figure: string;
  readonly text: string;
  readonly grows: boolean;
}

/** Fits a line through what was seen after the warm-up, in the last process of each gateway. */
export function judge({ samples, seconds }: Pick<SoakResult, "samples" | "seconds">): Judgement[] {
  return (["a", "b"] as const).flatMap((site) => {
    const own = samples.filter((sample) => sample.site === site);
    const judged = own.filter((sample) =>
      sample.pid === own.at(-1)?.pid && sample.seconds >= seconds * WARM_UP_RATIO
    );
    return ALLOWANCES.map(({ name, value, riseMax, show, secondsMin = 0, most = Infinity }) => {
      const points = judged.map((sample) => ({ seconds: sample.seconds, value: value(sample) }));
      const growth = growthOf(points);
      const mean = points.reduce((sum, point) => sum + point.value, 0) / (points.length || 1);
      const spanSeconds = points.length === 0 ? 0 : points.at(-1)!.seconds - points[0].seconds;
      const enough = points.length >= SAMPLES_MIN && spanSeconds >= secondsMin;
      const allowed = riseMax(mean, points.length);
      const text = `${show(growth.first)} to ${show(growth.last)}, most ${show(growth.most)}, ` +
        `fit ${growth.rise < 0 ? "" : "+"}${show(growth.rise)} in ${points.length} samples ` +
        (enough ? `(allowed ${show(allowed)})` : "(too short to judge)");
      return {
        site,
        figure: name,
        text,
        grows: enough && growth.rise > allowed || growth.most > most,
      };
    });
  });
}
