import type { SchedulePolicy } from "../migration/control/wishes.ts";

const DAY_MINUTES = 24 * 60;
const DAYS = 7;
/** 1970 began on a Thursday. */
const FIRST_WEEKDAY = 4;

/**
 * The cap that a schedule has at a moment: of the first entry that holds then, null outside of all of
 * them. An entry that does not end after it begins goes on past midnight, and its days are those on
 * which it begins.
 *
 * @param wallMs ms since 1970 UTC
 */
export function scheduledCap(
  { entries }: Pick<SchedulePolicy, "entries">,
  wallMs: number,
): number | null {
  const minutes = Math.floor(wallMs / 60_000);
  const holds = ({ from, until, days }: SchedulePolicy["entries"][number]) => {
    const begins = minuteOfDay(from);
    const lasts = (minuteOfDay(until) - begins + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
    const sinceBegin = modulo(minutes - begins, DAY_MINUTES);
    const day = Math.floor((minutes - sinceBegin) / DAY_MINUTES);
    const isItsDay = days?.includes(modulo(day + FIRST_WEEKDAY, DAYS)) ?? true;
    return sinceBegin < lasts && isItsDay;
  };
  return entries.find(holds)?.bytesPerSecond ?? null;
}

function minuteOfDay(time: string): number {
  const [hours, minutes] = time.split(":").map(Number);
  return hours * 60 + minutes;
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
