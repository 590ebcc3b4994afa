import { DAY_MS, shownRate } from "../words.ts";
import type { RatePolicy } from "../wishes.ts";
import type { RateRule } from "./policy.ts";

type Schedule = Extract<RatePolicy, { policy: "schedule" }>;
type Entry = Schedule["entries"][number];

const MINUTE_MS = 60_000;
/** 1 January 1970 was a Thursday. */
const WEEKDAY_OF_DAY_0 = 4;

/** The cap by time of day in UTC: the first entry that holds, and none outside of all of them. */
export function scheduledRate({ entries }: Pick<Schedule, "entries">): RateRule {
  return {
    follows: false,
    decide: ({ measured: { wallMs } }) => {
      const entry = entryAt(entries, wallMs);
      const bytesPerSecond = entry?.bytesPerSecond ?? null;
      const cap = bytesPerSecond === null ? "no cap" : `a cap of ${shownRate(bytesPerSecond)}`;
      return {
        bytesPerSecond,
        finalBytesPerSecond: bytesPerSecond,
        reason: entry === null
          ? "no entry of the schedule holds now: no cap"
          : `the schedule has ${cap} from ${entry.from} until ${entry.until} UTC`,
        numbers: { bytesPerSecond },
      };
    },
  };
}

/**
 * The first entry that holds. One whose end is not after its beginning goes on past midnight and
 * belongs to the day that it began on; `from` equal to `until` is the whole day from then on.
 */
export function entryAt(entries: readonly Entry[], wallMs: number): Entry | null {
  const day = Math.floor(wallMs / DAY_MS);
  const minute = Math.floor((wallMs - day * DAY_MS) / MINUTE_MS);
  const holdsOn = (entry: Entry, began: number) => entry.days?.includes(weekday(began)) ?? true;
  return entries.find((entry) => {
    const from = minuteOf(entry.from);
    const until = minuteOf(entry.until);
    if (from < until) return from <= minute && minute < until && holdsOn(entry, day);
    return (minute >= from && holdsOn(entry, day)) || (minute < until && holdsOn(entry, day - 1));
  }) ?? null;
}

function weekday(day: number): number {
  return (((day + WEEKDAY_OF_DAY_0) % 7) + 7) % 7;
}

function minuteOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}
