import type { RatePolicy } from "../wishes.ts";
import { shownRate } from "../words.ts";
import type { RateDecision, RateInput, RateRule } from "./policy.ts";

type Clark = Extract<RatePolicy, { policy: "clark" }>;

/** A round takes at least this long, ms. */
const ROUND_MS_MIN = 1_000;
/** A lower rate is taken only when no round in this time asked for more, and stays as long; ms. */
const TURN_MS = 10_000;

/**
 * Dynamic rate limiting after Clark et al., NSDI 2005, section 5.1: the first round goes at the
 * least, each later one at the rate at which the machine wrote in the round before plus an increment,
 * and the last, with the machine paused, at the most. A round is a pass of the machine over memory, and
 * lasts until what waited at its beginning has crossed, because passes end early before a pool.
 */
export class ClarkRate implements RateRule {
  readonly follows = true;
  #roundBeganMs = 0;
  #round: string | null = null;
  /** Applied when all that waited at the beginning of the round has crossed. */
  #crossedAtBytes = 0;
  #wantedUntilMs = 0;
  #fellUntilMs = 0;
  #bytesPerSecond: number;
  #dirtyBytesPerSecond: number | null = null;

  constructor(private readonly wish: Omit<Clark, "policy">) {
    this.#bytesPerSecond = wish.minBytesPerSecond;
  }

  decide(input: RateInput): RateDecision {
    const { judgedMs } = input;
    const round = roundOf(input);
    const { appliedWireBytes } = input.measured;
    const isOver = round !== this.#round && appliedWireBytes >= this.#crossedAtBytes &&
      judgedMs - this.#roundBeganMs >= ROUND_MS_MIN;
    if (isOver || this.#round === null) {
      this.#round = round;
      this.#roundBeganMs = judgedMs;
      this.#crossedAtBytes = appliedWireBytes + input.waitingBytes;
      this.#begin(input);
    }
    const { minBytesPerSecond, maxBytesPerSecond, incrementBytesPerSecond } = this.wish;
    const dirtyBytesPerSecond = this.#dirtyBytesPerSecond;
    return {
      bytesPerSecond: this.#bytesPerSecond,
      finalBytesPerSecond: maxBytesPerSecond,
      reason: dirtyBytesPerSecond === null
        ? `the first round goes at the least, ${shownRate(minBytesPerSecond)}`
        : `the machine wrote ${shownRate(dirtyBytesPerSecond)} in the last round, and the next ` +
          `gets ${shownRate(incrementBytesPerSecond)} more, between ` +
          `${shownRate(minBytesPerSecond)} and ${shownRate(maxBytesPerSecond)}`,
      numbers: {
        bytesPerSecond: this.#bytesPerSecond,
        dirtyBytesPerSecond: dirtyBytesPerSecond === null ? null : Math.round(dirtyBytesPerSecond),
        minBytesPerSecond,
        maxBytesPerSecond,
        incrementBytesPerSecond,
      },
    };
  }

  #begin({ judgedMs, dirtyBytesPerSecond }: RateInput): void {
    if (dirtyBytesPerSecond === null) return;
    const { minBytesPerSecond, maxBytesPerSecond, incrementBytesPerSecond } = this.wish;
    const wanted = Math.round(
      Math.min(
        maxBytesPerSecond,
        Math.max(minBytesPerSecond, dirtyBytesPerSecond + incrementBytesPerSecond),
      ),
    );
    const isFall = wanted < this.#bytesPerSecond;
    if (judgedMs < (isFall ? this.#wantedUntilMs : this.#fellUntilMs)) return;
    if (isFall) this.#fellUntilMs = judgedMs + TURN_MS;
    this.#bytesPerSecond = wanted;
    this.#dirtyBytesPerSecond = dirtyBytesPerSecond;
    this.#wantedUntilMs = judgedMs + TURN_MS;
  }
}

function roundOf({ judgedMs, measured: { stage, memory } }: RateInput): string {
  if (stage === "firstRound") return "disks 1";
  return memory === null
    ? `disks at ${Math.floor(judgedMs / ROUND_MS_MIN)}`
    : `memory ${memory.pass}`;
}
