/** What an echo probe saw. Times are milliseconds on the probe's own clock; see `startedWallMs`. */
export interface EchoRecord {
  readonly intervalMs: number;
  /** Wall clock at the probe's zero. */
  readonly startedWallMs: number;
  readonly sentAtMs: readonly number[];
  /** By request; null: never answered. */
  readonly answeredAtMs: readonly (number | null)[];
}

/** A stretch without answers, from one answer to the next. */
export interface Silence {
  readonly startMs: number;
  readonly endMs: number;
  /** Its length less the interval at which answers come anyway. */
  readonly silentMs: number;
}

/**
 * The longest stretches between two answers, longest first: what a client of the machine notices of
 * a move.
 *
 * The silence before the first answer and after the last one does not count: nobody knows what was
 * there.
 */
export function longestSilences(record: EchoRecord, count = 3): Silence[] {
  const answers = record.answeredAtMs.filter((atMs) => atMs !== null).sort((a, b) => a - b);
  return answers.slice(1).map((endMs, index) => {
    const startMs = answers[index];
    return { startMs, endMs, silentMs: Math.max(0, endMs - startMs - record.intervalMs) };
  }).sort((a, b) => b.silentMs - a.silentMs).slice(0, count);
}

/** The longest that the probe itself was late: nothing shorter than this can be told apart. */
export function probeStallMs(record: EchoRecord): number {
  let stallMs = 0;
  for (let index = 1; index < record.sentAtMs.length; index++) {
    const stepMs = record.sentAtMs[index] - record.sentAtMs[index - 1];
    stallMs = Math.max(stallMs, stepMs - record.intervalMs);
  }
  return stallMs;
}
