import type { GuestDescription } from "../guest/guest.ts";
import type { PathMeasurement } from "../link/peer_link.ts";
import { forecastDowntime, HANDOVER_WORK_MS } from "../migration/control/forecast.ts";
import type { Plan, PlanRange } from "./service.ts";

/** Shares of the machine's bytes that cross in the best, common and worst case. */
const WIRE_SHARE = { low: 0.2, expected: 0.45, high: 1.05 };
/** How far a pause may be from the forecast of a switch with nothing left to copy. */
const PAUSE_FACTOR = { low: 1, expected: 1.5, high: 3 };
/** Round trips that no byte can shorten: offer, begin, the record of a round, hand-over. */
const ROUND_TRIPS = 4;

/**
 * Rates of a path that no move has measured, bytes per second: 5, 20 and 100 Mbit/s, between which
 * seven of ten profiles of wan-profiles/ lie. The carrier learns a rate only by filling the path, and
 * that would take it from moves that are under way.
 */
export const ASSUMED_RATE: PlanRange = { low: 625_000, expected: 2_500_000, high: 12_500_000 };

const PRECISION = "ranges cover content from nearly empty to incompressible; the machine's write " +
  "rate is not sampled";

export interface ForecastInput {
  readonly description: Pick<GuestDescription, "memoryBytes" | "disks">;
  readonly path: PathMeasurement;
  /** Cap of the link; null is none. */
  readonly capBytesPerSecond: number | null;
}

/**
 * What a move costs by the machine's size and the path as it is known: pure. Low ends of times come
 * from the fewest bytes at the highest rate, high ends from the opposite.
 */
export function forecast(
  { description, path, capBytesPerSecond }: ForecastInput,
): Pick<Plan, "rate" | "strategies"> {
  const measured = path.bottleneckBytesPerSecond;
  const uncapped = measured === null
    ? ASSUMED_RATE
    : { low: measured, expected: measured, high: measured };
  const rate = each((end) =>
    Math.max(1, Math.round(Math.min(uncapped[end], capBytesPerSecond ?? Infinity)))
  );
  const isCapped = capBytesPerSecond !== null && capBytesPerSecond < uncapped.high;

  const bytes = copiedBytes(description);
  const wireBytes = each((end) => Math.round(bytes * WIRE_SHARE[end]));
  // The least: a connection that was just made has measured its own handshakes beside the path.
  const roundTripMs = path.minRoundTripMs ?? path.roundTripMs;
  const pathMs = ROUND_TRIPS * (roundTripMs ?? 0);
  const totalMs = each((end) => Math.round(wireBytes[end] / rate[slowIsHigh(end)] * 1000 + pathMs));
  const pauseMs = each((end) => {
    const { downtimeMs } = forecastDowntime({
      waitingBytes: 0,
      goodputBytesPerSecond: rate[slowIsHigh(end)],
      handoverWorkMs: HANDOVER_WORK_MS,
      roundTripMs,
      // What a path loses while nothing is sent says little.
      lossRatio: null,
    });
    return Math.round(downtimeMs * PAUSE_FACTOR[end]);
  });

  const unknownDisks = description.disks.filter(({ allocatedBytes }) => allocatedBytes === null);
  const remarks = [
    PRECISION,
    ...(measured === null
      ? [
        `no move has measured this path: ${megabits(ASSUMED_RATE.expected)} Mbit/s are assumed, ` +
        `between ${megabits(ASSUMED_RATE.low)} and ${megabits(ASSUMED_RATE.high)}`,
      ]
      : []),
    ...(isCapped ? [`the link's cap of ${capBytesPerSecond} bytes per second limits it`] : []),
    ...(roundTripMs === null
      ? ["the round trip is not known: times are without the path's delay"]
      : []),
    ...unknownDisks.map(({ id }) =>
      `what disk ${id} takes on its storage is not known: its whole size is counted`
    ),
  ];
  return {
    rate: { source: measured === null ? "assumed" : "measured", bytesPerSecond: rate },
    strategies: [
      { strategy: "precopy", totalMs, wireBytes, downtimeMs: pauseMs, fits: null, remarks },
      {
        strategy: "stop-and-copy",
        totalMs,
        wireBytes,
        downtimeMs: totalMs,
        fits: null,
        remarks: [...remarks, "the machine stands still for the whole copy"],
      },
    ],
  };
}

/** Memory, and of each disk what its image takes: holes travel as ranges. */
function copiedBytes({ memoryBytes, disks }: ForecastInput["description"]): number {
  return disks.reduce(
    (sum, { sizeBytes, allocatedBytes }) => sum + Math.min(sizeBytes, allocatedBytes ?? sizeBytes),
    memoryBytes,
  );
}

function each(of: (end: keyof PlanRange) => number): PlanRange {
  return { low: of("low"), expected: of("expected"), high: of("high") };
}

/** The end of the range of rates that makes this end of a time. */
function slowIsHigh(end: keyof PlanRange): keyof PlanRange {
  return end === "low" ? "high" : end === "high" ? "low" : "expected";
}

function megabits(bytesPerSecond: number): number {
  return bytesPerSecond * 8 / 1e6;
}
