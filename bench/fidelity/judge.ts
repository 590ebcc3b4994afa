import type { DirectionSettings, WanProfile } from "../../src/emulator/settings.ts";

/** What is compared with the profile: bits per second, a share of packets, milliseconds. */
export type Quantity = "rate, UDP" | "rate, TCP" | "loss" | "delay" | "round trip";

/** One figure as measured from outside, beside the profile's. */
export interface Finding {
  readonly emulator: "tun" | "relay";
  readonly profile: string;
  readonly quantity: Quantity;
  readonly expected: number;
  readonly measured: number;
  /** The measured figure may lie so far away. */
  readonly tolerance: number;
  /** `unsure`: away, and the computer was too busy to tell whose fault that is. */
  readonly verdict: "agrees" | "away" | "unsure";
  readonly computer: Computer;
}

/** What was the computer's own doing, and not the link's. */
export interface Computer {
  /** Packets that the emulator sent more than 5 ms late. */
  readonly lateRatio: number;
  /** Packets that sockets and devices dropped before the link or behind it. */
  readonly droppedRatio: number;
  /** What was offered to the link, of what was to be offered. */
  readonly offeredRatio: number;
}

/** With more of that, a figure that is away says nothing. */
const LATE_RATIO_MAX = 0.02;
const DROPPED_RATIO_MAX = 0.001;
const OFFERED_RATIO_MIN = 0.97;

/** Issue 7: rate within 3 %, loss within 10 % of its value, delay within 2 ms at the median. */
const RATE_RATIO = 0.03;
const LOSS_RATIO = 0.1;
const DELAY_MS = 2;
/** A seed draws more or fewer: 3 standard deviations are no disagreement. */
const DEVIATIONS = 3;

/** How far a quantity may lie from what is expected. @param packets that a loss was counted over */
export function toleranceOf(quantity: Quantity, expected: number, packets: number): number {
  switch (quantity) {
    case "rate, UDP":
    case "rate, TCP":
      return RATE_RATIO * expected;
    case "loss": {
      const deviation = Math.sqrt(expected * (1 - expected) / packets);
      return Math.max(LOSS_RATIO * expected, DEVIATIONS * deviation);
    }
    case "delay":
    case "round trip":
      return DELAY_MS;
  }
}

/** A figure beside the profile's; TCP must not be faster than the link, and may be slower. */
export function finding(
  where: Pick<Finding, "emulator" | "profile" | "computer">,
  quantity: Quantity,
  { expected, measured, packets = 1, onlyAbove = false }: {
    readonly expected: number;
    readonly measured: number;
    readonly packets?: number;
    readonly onlyAbove?: boolean;
  },
): Finding {
  const tolerance = toleranceOf(quantity, expected, packets);
  const away = onlyAbove ? measured - expected : Math.abs(measured - expected);
  const verdict = away <= tolerance ? "agrees" : isBusy(where.computer) ? "unsure" : "away";
  return { ...where, quantity, expected, measured, tolerance, verdict };
}

/**
 * Shares of packets, from what the emulator counted and from what both ends did.
 *
 * @param counts `dropped`: by devices and sockets, before the link and behind it
 */
export function computerOf(counts: {
  readonly sent: number;
  readonly wanted: number;
  readonly offered: number;
  readonly delivered: number;
  readonly late: number;
  readonly dropped: number;
}): Computer {
  const { sent, wanted, offered, delivered, late, dropped } = counts;
  return {
    lateRatio: delivered === 0 ? 1 : late / delivered,
    droppedRatio: dropped / sent,
    offeredRatio: offered / wanted,
  };
}

function isBusy({ lateRatio, droppedRatio, offeredRatio }: Computer): boolean {
  return lateRatio > LATE_RATIO_MAX || droppedRatio > DROPPED_RATIO_MAX ||
    offeredRatio < OFFERED_RATIO_MIN;
}

/** Share of packets that a direction loses, by whatever of its settings. */
export function lossOf({ lossRatio, burstLoss, corruptRatio }: DirectionSettings): number {
  const burst = burstLoss === null ? 0 : (() => {
    const { goodToBadRatio: p, badToGoodRatio: r, lossInGoodRatio, lossInBadRatio } = burstLoss;
    const bad = p + r === 0 ? 0 : p / (p + r);
    return bad * lossInBadRatio + (1 - bad) * lossInGoodRatio;
  })();
  return 1 - (1 - burst) * (1 - lossRatio) * (1 - corruptRatio);
}

/** Both ways together, without queues. */
export function roundTripMsOf({ forward, backward }: WanProfile): number {
  return forward.delayMs + backward.delayMs;
}

/** The middle of what was seen. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A table for people, a line for each finding. */
export function findingLines(findings: readonly Finding[]): string[] {
  const titles = ["emulator", "profile", "quantity", "profile's", "measured", "away"];
  titles.push("late, dropped, offered", "");
  const lines = findings.map((found) => [
    found.emulator,
    found.profile,
    found.quantity,
    shown(found.quantity, found.expected),
    shown(found.quantity, found.measured),
    awayText(found),
    computerText(found.computer),
    found.verdict,
  ]);
  return [titles, ...lines].map((cells) => cells.map((cell) => cell.padEnd(24)).join("").trimEnd());
}

function computerText({ lateRatio, droppedRatio, offeredRatio }: Computer): string {
  return [lateRatio, droppedRatio, offeredRatio].map((ratio) => `${(ratio * 100).toFixed(1)} %`)
    .join(", ");
}

function shown(quantity: Quantity, value: number): string {
  if (quantity.startsWith("rate")) return `${(value / 1e6).toFixed(3)} Mbit/s`;
  return quantity === "loss" ? `${(value * 100).toFixed(4)} %` : `${value.toFixed(2)} ms`;
}

function awayText({ quantity, expected, measured }: Finding): string {
  const away = measured - expected;
  if (quantity === "delay" || quantity === "round trip") return `${away.toFixed(2)} ms`;
  return expected === 0 ? "-" : `${(away / expected * 100).toFixed(2)} %`;
}
