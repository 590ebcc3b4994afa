/** How many tests ended in which way; steps count with their test. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface FileDuration {
  readonly file: string;
  readonly seconds: number;
}

// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*m/g;
const SUMMARY =
  /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored(?: \([^)]*\))?)?/gm;

/**
 * Reads the last summary line of `deno test`. Its JUnit report cannot be used for this: a file that
 * fails while it is loaded is missing there.
 *
 * A run that failed without naming a failure (killed, out of memory, no summary) counts as one.
 */
export function readCounts(output: string, exitCode: number): Counts {
  const match = [...output.replace(COLOURS, "").matchAll(SUMMARY)].at(-1);
  const [passed, failed, skipped] = match === undefined
    ? [0, 0, 0]
    : match.slice(1).map((text) => Number(text ?? 0));
  return { passed, failed: exitCode !== 0 && failed === 0 ? 1 : failed, skipped };
}

/** Sums the test durations of every file in a JUnit report of `deno test`. */
export function readDurations(junit: string): FileDuration[] {
  const secondsByFile = new Map<string, number>();
  for (const [, attributes] of junit.matchAll(/<testcase ([^>]*)>/g)) {
    const file = /classname="([^"]*)"/.exec(attributes)?.[1].replace(/^\.\//, "");
    const seconds = Number(/ time="([0-9.]+)"/.exec(attributes)?.[1]);
    // The time of a step is within that of its test.
    if (file === undefined || Number.isNaN(seconds) || attributes.includes(" &gt; ")) continue;
    secondsByFile.set(file, (secondsByFile.get(file) ?? 0) + seconds);
  }
  return [...secondsByFile].map(([file, seconds]) => ({ file, seconds }));
}

export function sumCounts(all: readonly Counts[]): Counts {
  return all.reduce((sum, counts) => ({
    passed: sum.passed + counts.passed,
    failed: sum.failed + counts.failed,
    skipped: sum.skipped + counts.skipped,
  }), { passed: 0, failed: 0, skipped: 0 });
}

/** The last line of a run; scripts read it. */
export function summaryLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** In CI nothing may be skipped: the machine there has everything, or something is wrong. */
export function exitCodeOf({ failed, skipped }: Counts, isCi: boolean): 0 | 1 {
  return failed > 0 || (isCi && skipped > 0) ? 1 : 0;
}
