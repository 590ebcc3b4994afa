import type {
  DirectionName,
  DirectionSettings,
  OutageMode,
  TimelineEvent,
  WanProfile,
} from "./settings.ts";

/** A stretch of time in which nothing changes. */
export interface Segment {
  /** Ms after the start of the period. */
  readonly startMs: number;
  /** Infinity for the last one of a timeline that runs once. */
  readonly endMs: number;
  readonly settings: DirectionSettings;
  /** `hold` wins where outages overlap: nothing is sent, so nothing is lost. */
  readonly outage: OutageMode | null;
}

/** Cuts a profile's timeline into the segments of one direction. */
export function segmentsOf(
  profile: WanProfile,
  direction: DirectionName,
  overrides: Partial<DirectionSettings> = {},
): Segment[] {
  const events = profile.timeline
    .filter((event) => event.direction === direction || event.direction === "both")
    .toSorted((a, b) => a.atMs - b.atMs);
  const lengthMs = profile.timelinePeriodMs ?? Infinity;
  const cuts = new Set([0]);
  for (const event of events) {
    cuts.add(event.atMs);
    if (event.outageMs > 0) cuts.add(event.atMs + event.outageMs);
  }
  const starts = [...cuts].filter((at) => at < lengthMs).sort((a, b) => a - b);
  let settings = profile[direction];
  return starts.map((startMs, index) => {
    for (const event of events) {
      if (event.atMs === startMs && event.set) settings = { ...settings, ...event.set };
    }
    return {
      startMs,
      endMs: starts[index + 1] ?? lengthMs,
      settings: { ...settings, ...overrides },
      outage: outageAt(events, startMs),
    };
  });
}

function outageAt(events: readonly TimelineEvent[], atMs: number): OutageMode | null {
  const active = events.filter((e) => e.atMs <= atMs && atMs < e.atMs + e.outageMs);
  if (active.some((event) => event.outageMode === "hold")) return "hold";
  return active.length > 0 ? "drop" : null;
}

/** Finds the segment of a time; made for times that mostly grow. */
export class TimelineCursor {
  #index = 0;

  /**
   * @param segments at least one, from 0 on, without gaps
   * @param periodMs integer, so that the cut of a later period is exact; `null`: runs once
   */
  constructor(readonly segments: readonly Segment[], readonly periodMs: number | null) {}

  at(timeMs: number): Segment {
    const localMs = timeMs - this.#periodStartMs(timeMs);
    let segment = this.segments[this.#index];
    if (localMs >= segment.startMs && localMs < segment.endMs) return segment;
    if (localMs < segment.startMs) this.#index = 0;
    while (localMs >= this.segments[this.#index].endMs) this.#index++;
    segment = this.segments[this.#index];
    return segment;
  }

  /** When the segment of `timeMs` ends, on the same time scale. */
  endMsOf(timeMs: number): number {
    return this.#periodStartMs(timeMs) + this.at(timeMs).endMs;
  }

  #periodStartMs(timeMs: number): number {
    return this.periodMs === null ? 0 : Math.floor(timeMs / this.periodMs) * this.periodMs;
  }
}
