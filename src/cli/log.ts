import { type Clock, timestamp } from "../core/clock.ts";

/** How much an event matters. */
export type LogLevel = "info" | "warn" | "error";

/** One event as one line: `time=… level=… message="…"`, with everything that is not plain quoted. */
export function logLine(wallMs: number, level: LogLevel, message: string): string {
  return `time=${timestamp(wallMs)} level=${level} message=${JSON.stringify(message)}`;
}

/** A log whose lines go to `write`. */
export function lineLog(
  clock: Clock,
  write: (line: string) => void,
): (level: LogLevel, message: string) => void {
  return (level, message) => write(logLine(clock.wallMs(), level, message));
}
