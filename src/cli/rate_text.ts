import type { RatePolicy } from "../migration/control/wishes.ts";

/** What a rate on the command line says; a schedule's entries stand in a file. */
export type RateText =
  | { readonly kind: "rate"; readonly rate: number | RateRequest | null }
  | { readonly kind: "schedule"; readonly path: string };

/** A policy as the API takes it: what is not given has the API's default. */
export type RateRequest =
  | {
    policy: "clark";
    minBytesPerSecond: number;
    maxBytesPerSecond: number;
    incrementBytesPerSecond?: number;
  }
  | { policy: "fair"; maxBytesPerSecond?: number }
  | Extract<RatePolicy, { policy: "schedule" }>;

/** The forms of a rate, for people. */
export const RATE_FORMS = "bytes per second such as 2500000, or 20mbit (kbit, mbit, gbit); " +
  "clark:MIN:MAX[:STEP]; fair[:MAX]; schedule:FILE.json; none";

/** Links are sold in bits, with decimal prefixes. */
const BYTES_PER_SECOND = new Map([["kbit", 125], ["mbit", 125_000], ["gbit", 125_000_000]]);

/** Reads a rate. @throws {RangeError} with what is wrong with it, for people */
export function parseRate(text: string): RateText {
  const [policy, ...figures] = text.split(":");
  switch (policy.toLowerCase()) {
    case "none":
      if (figures.length > 0) throw new RangeError("none takes no figure");
      return { kind: "rate", rate: null };
    case "clark":
      return { kind: "rate", rate: clark(figures.map(parseFigure)) };
    case "fair":
      return { kind: "rate", rate: fair(figures.map(parseFigure)) };
    case "schedule": {
      const path = text.slice("schedule:".length);
      if (path === "") throw new RangeError("a schedule needs the path of its file");
      return { kind: "schedule", path };
    }
  }
  if (figures.length > 0) throw new RangeError(`there is no policy ${policy}`);
  return { kind: "rate", rate: parseFigure(text) };
}

function clark(figures: readonly number[]): RateRequest {
  const [minBytesPerSecond, maxBytesPerSecond, incrementBytesPerSecond] = figures;
  if (figures.length < 2 || figures.length > 3) {
    throw new RangeError(
      "clark takes the least rate, the most, and perhaps the step between rounds",
    );
  }
  if (minBytesPerSecond > maxBytesPerSecond) {
    throw new RangeError("the least rate of clark is above the most");
  }
  const most = { policy: "clark" as const, minBytesPerSecond, maxBytesPerSecond };
  return incrementBytesPerSecond === undefined ? most : { ...most, incrementBytesPerSecond };
}

function fair(figures: readonly number[]): RateRequest {
  if (figures.length > 1) throw new RangeError("fair takes the most that it may use, or nothing");
  const [maxBytesPerSecond] = figures;
  return maxBytesPerSecond === undefined
    ? { policy: "fair" }
    : { policy: "fair", maxBytesPerSecond };
}

/** @returns bytes per second, at least 1 */
function parseFigure(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([a-z]*)$/i.exec(text);
  const unit = match?.[2].toLowerCase() ?? "";
  const factor = unit === "" ? 1 : BYTES_PER_SECOND.get(unit);
  if (!match) throw new RangeError(`${JSON.stringify(text)} is no figure`);
  if (factor === undefined) {
    throw new RangeError(`${match[2]} is no unit of a rate; kbit, mbit and gbit are`);
  }
  if (unit === "" && text.includes(".")) throw new RangeError("bytes per second are whole");
  const bytesPerSecond = Math.round(Number(match[1]) * factor);
  if (bytesPerSecond < 1) throw new RangeError(`${text} is less than a byte per second`);
  if (!Number.isSafeInteger(bytesPerSecond)) throw new RangeError(`${text} is beyond any link`);
  return bytesPerSecond;
}
