import { type Clock, timestamp } from "../core/clock.ts";
import { LogRepeats } from "./log_repeats.ts";

/** From the least to the most serious. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** How much an event matters. */
export type LogLevel = typeof LOG_LEVELS[number];

/** One event, for programs that read logs; the line has its fields in this order. */
export interface LogRecord {
  /** RFC 3339 UTC. */
  readonly time: string;
  readonly level: LogLevel;
  /** `move.state`, `link.down`, an error code, or `note` for what only a person understands. */
  readonly event: string;
  /** Id of the move that it is about. */
  readonly migration?: string;
  readonly message: string;
  /** More of it; what is null is left out. */
  readonly fields?: LogFields;
  /** Lines like this one that were left out since the last one that was written. */
  readonly repeated?: number;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** What an event says beside its message. */
export interface LogContext {
  readonly event?: string;
  readonly migration?: string;
  readonly fields?: LogFields;
}

/** Writes one event. */
export type Log = (level: LogLevel, message: string, context?: LogContext) => void;

/** How lines look: `logfmt` for people and programs, `json` for programs. */
export type LogFormat = "logfmt" | "json";

export interface LogOptions {
  readonly clock: Clock;
  readonly write: (line: string) => void;
  /** What is below is not written. */
  readonly level?: LogLevel;
  readonly format?: LogFormat;
}

/** A log of one line per event, and an end that says what was left out. */
export interface EventLog {
  readonly log: Log;
  /** Writes the counts of lines that are still held back. */
  flush(): void;
}

/**
 * Makes the log of a process. The same event again and again is written a few times, then once a
 * minute with a count (`LogRepeats`): a link that is down for a night must not fill a disk.
 */
export function eventLog(
  { clock, write, level = "info", format = "logfmt" }: LogOptions,
): EventLog {
  const least = LOG_LEVELS.indexOf(level);
  const render = format === "json" ? jsonLine : logfmtLine;
  const repeats = new LogRepeats<LogRecord>();
  const tell = (last: LogRecord, repeated: number) =>
    write(render({ ...last, time: timestamp(clock.wallMs()), repeated }));
  return {
    log(level, message, context = {}) {
      if (LOG_LEVELS.indexOf(level) < least) return;
      const record = toRecord(timestamp(clock.wallMs()), level, message, context);
      const nowMs = clock.nowMs();
      for (const { last, count } of repeats.due(nowMs)) tell(last, count);
      if (repeats.passes(repeatKey(record), record, nowMs)) write(render(record));
    },
    flush() {
      for (const { last, count } of repeats.due(Infinity)) tell(last, count);
    },
  };
}

/** Most lines about a move begin with its id, and those about a failure go on with its code. */
function toRecord(time: string, level: LogLevel, text: string, context: LogContext): LogRecord {
  const [, named, rest] = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}): (.*)$/s.exec(text) ?? [];
  const migration = context.migration ?? named;
  const message = rest ?? text;
  const code = /^([a-z]+(?:_[a-z]+)+): /.exec(message)?.[1];
  return {
    time,
    level,
    event: context.event ?? code ?? "note",
    ...(migration === undefined ? {} : { migration }),
    message,
    ...(context.fields === undefined ? {} : { fields: context.fields }),
  };
}

/** Two lines are the same when they differ in figures only. */
function repeatKey({ level, event, migration, message, fields = {} }: LogRecord): string {
  const words = Object.values(fields).filter((value) => typeof value === "string");
  return JSON.stringify([level, event, migration, message.replaceAll(/\d+/g, "#"), words]);
}

/** `time=… level=… event=… migration=… message="…" key=value…`; what is not plain is quoted. */
export function logfmtLine(record: LogRecord): string {
  return Object.entries(flat(record)).map(([key, value]) =>
    `${key}=${key !== "message" && isPlain(value) ? value : JSON.stringify(String(value))}`
  ).join(" ");
}

/** The same as one object of JSON. */
export function jsonLine(record: LogRecord): string {
  return JSON.stringify(flat(record));
}

function flat({ fields = {}, ...record }: LogRecord): Record<string, string | number | boolean> {
  const { repeated, ...own } = record;
  const known = Object.entries(fields)
    // A field never hides what every line has.
    .filter(([key, value]) => value !== null && !(key in own)) as [string, string | number][];
  return { ...own, ...Object.fromEntries(known), ...(repeated ? { repeated } : {}) };
}

function isPlain(value: unknown): boolean {
  return /^[\w.:+/-]+$/.test(String(value));
}
