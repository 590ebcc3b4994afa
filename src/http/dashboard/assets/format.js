/** What is not known is shown as a dash, never as a zero. */
const UNKNOWN = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes in decimal units with three figures: `12.3 MB`. */
export function bytes(value) {
  if (!isNumber(value)) return UNKNOWN;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${figures(value)} ${BYTE_UNITS[unit]}`;
}

/** Bytes per second. */
export function rate(value) {
  return isNumber(value) ? `${bytes(value)}/s` : UNKNOWN;
}

/** A duration in ms as a person says it: `240 ms`, `12.3 s`, `4 min 5 s`, `2 h 3 min`. */
export function duration(ms) {
  if (!isNumber(ms)) return UNKNOWN;
  if (ms < 999.5) return `${figures(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${figures(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A share from 0 to 1. */
export function percent(share) {
  return isNumber(share) ? `${figures(share * 100)} %` : UNKNOWN;
}

/** A range of a plan; its worse ends may be open. */
export function range(found, form) {
  if (found === null || found === undefined) return "does not end";
  const { low, expected, high } = found;
  const end = (value) => value === null ? "no end" : form(value);
  if (expected === null) return `${form(low)} or no end`;
  if (low === high) return form(low);
  return `${form(expected)} (${form(low)} to ${end(high)})`;
}

/** A moment in the reader's own time. */
export function moment(iso) {
  return iso === null ? UNKNOWN : new Date(iso).toLocaleString();
}

/** The time of day alone. */
export function timeOfDay(iso) {
  return iso === null ? UNKNOWN : new Date(iso).toLocaleTimeString();
}

/** States of a move in words. */
export const STATE_WORDS = {
  preparing: "preparing",
  copying: "copying",
  holding: "holding",
  switching: "switching over",
  inDoubt: "in doubt",
  conflict: "conflict",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  rolledBack: "rolled back",
  seeded: "seeded",
};

function figures(value) {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
