import type { DirtySample } from "../../guest/dirty_sample.ts";
import type { PathProbe } from "../../link/peer_link.ts";
import type { Ends } from "./ends.ts";
import type { PlanRange } from "./report.ts";

/** Rates from the slowest to the fastest: the slowest is the worst case. */
export function shownRates({ low, expected, high }: Ends<number>): PlanRange {
  return { low: Math.round(high), expected: Math.round(expected), high: Math.round(low) };
}

/** As the API shows it: whole bytes and milliseconds. */
export function shownProbe(probe: PathProbe | null): PathProbe | null {
  return probe && {
    source: probe.source,
    seconds: Math.round(probe.seconds * 10) / 10,
    sentBytes: probe.sentBytes,
    isSettled: probe.isSettled,
    bottleneckBytesPerSecond: whole(probe.bottleneckBytesPerSecond),
    goodputBytesPerSecond: whole(probe.goodputBytesPerSecond),
    goodputRange: probe.goodputRange && {
      low: Math.round(probe.goodputRange.low),
      high: Math.round(probe.goodputRange.high),
    },
    roundTripMs: whole(probe.roundTripMs),
    minRoundTripMs: whole(probe.minRoundTripMs),
    jitterMs: whole(probe.jitterMs),
    lossRatio: probe.lossRatio,
  };
}

/** The same of a watch of the machine. */
export function shownSample(sample: DirtySample | null): DirtySample | null {
  if (sample === null) return null;
  const { windows, zeroShare, wireRatio, rewriteRatio } = sample.memory;
  return {
    memory: {
      windows: windows.map(({ ms, distinctBytes }) => ({
        ms: Math.round(ms),
        distinctBytes: Math.round(distinctBytes),
      })),
      zeroShare: ratio(zeroShare),
      wireRatio: ratio(wireRatio),
      rewriteRatio: ratio(rewriteRatio),
    },
    disks: sample.disks.map(({ id, writtenBytesPerSecond, distinctBytes, ms }) => ({
      id,
      writtenBytesPerSecond: Math.round(writtenBytesPerSecond),
      distinctBytes: whole(distinctBytes),
      ms: Math.round(ms),
    })),
  };
}

function ratio(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000;
}

function whole(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
