/** Numbers as they stand in a reason: three digits at most, with the unit an operator thinks in. */

/** For example `2.5 MB`; MB are 10^6 bytes. */
export function shownBytes(bytes: number): string {
  if (bytes < 999.5e3) return `${digits(bytes / 1e3)} kB`;
  return bytes < 999.5e6 ? `${digits(bytes / 1e6)} MB` : `${digits(bytes / 1e9)} GB`;
}

/** For example `2.5 MB/s`. */
export function shownRate(bytesPerSecond: number): string {
  return `${shownBytes(bytesPerSecond)}/s`;
}

/** For example `290 ms`, `12 s` or `45 min`. */
export function shownTime(ms: number): string {
  if (ms < 9_950) return `${Math.round(ms)} ms`;
  return ms < 119_500 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** Time of day in UTC, `HH:MM`; the day as well where it is another one than that of `nowWallMs`. */
export function shownMoment(wallMs: number, nowWallMs: number): string {
  const text = new Date(wallMs).toISOString();
  const time = `${text.slice(11, 16)} UTC`;
  const isToday = Math.floor(wallMs / DAY_MS) === Math.floor(nowWallMs / DAY_MS);
  return isToday ? time : `${text.slice(0, 10)} ${time}`;
}

/** Whole numbers for a record; what is unknown or unbounded is null. */
export function whole(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Math.round(value);
}

export const DAY_MS = 86_400_000;

function digits(value: number): string {
  return value >= 9.95 ? String(Math.round(value)) : value.toFixed(1);
}
