import type { Sample } from "../row.ts";

/** A stretch of one phase. */
export interface Interval {
  readonly phase: string;
  readonly fromSeconds: number;
  readonly toSeconds: number;
}

/** What went on between two samples, at the later one. */
export interface Rate {
  readonly atSeconds: number;
  readonly sentMbit: number;
  readonly dirtyMbit: number | null;
  readonly remainingMB: number | null;
}

/** Samples of one phase after the other joined to stretches without gaps. */
export function phasesOf(samples: readonly Sample[]): Interval[] {
  const intervals: { phase: string; fromSeconds: number; toSeconds: number }[] = [];
  for (const { atMs, phase } of samples) {
    const last = intervals.at(-1);
    if (last !== undefined) last.toSeconds = atMs / 1000;
    if (last?.phase !== phase) {
      intervals.push({ phase, fromSeconds: atMs / 1000, toSeconds: atMs / 1000 });
    }
  }
  // The last look finds the move ended; that lasts no time.
  return intervals.filter(({ fromSeconds, toSeconds }) => toSeconds > fromSeconds);
}

/** Rates from counters. */
export function ratesOf(samples: readonly Sample[]): Rate[] {
  return samples.slice(1).flatMap((sample, index) => {
    const before = samples[index];
    const ms = sample.atMs - before.atMs;
    if (ms <= 0) return [];
    const { dirtyBytesPerSecond, remainingBytes } = sample;
    return [{
      atSeconds: sample.atMs / 1000,
      sentMbit: (sample.wireBytes - before.wireBytes) * 8 / ms / 1000,
      dirtyMbit: dirtyBytesPerSecond === null ? null : dirtyBytesPerSecond * 8 / 1e6,
      remainingMB: remainingBytes === null ? null : remainingBytes / 1e6,
    }];
  });
}

/** The fastest that was sent from one sample to the next, bits per second; null without two. */
export function peakBitsPerSecond(samples: readonly Sample[]): number | null {
  const rates = ratesOf(samples).map(({ sentMbit }) => sentMbit * 1e6);
  return rates.length === 0 ? null : Math.round(Math.max(...rates));
}
