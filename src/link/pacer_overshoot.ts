/** What a start sent too fast has left the path after so many turns of the loop. */
const LOOPS = 4;

/**
 * What a hasty start sent beyond the path's limit: where its queue overflows, marks get through whose
 * chunks do not, and the rate of arrival looks better than the path; pure, time is an argument.
 */
export class Overshoot {
  #endMs = -Infinity;

  begin(loopMs: number, nowMs: number): void {
    this.#endMs = nowMs + LOOPS * loopMs;
  }

  /** True while a rate of arrival beside a queue and loss is none that the path has. */
  hides(isQueued: boolean, excessLossRatio: number, nowMs: number): boolean {
    return nowMs < this.#endMs && isQueued && excessLossRatio > 0;
  }
}
