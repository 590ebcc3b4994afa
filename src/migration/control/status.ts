import type { Convergence } from "./action.ts";
import type { Measurement } from "./measurement.ts";
import type { Moment } from "./moment.ts";
import type { Judgement } from "./outage.ts";
import type { SwitchVerdict } from "./switching.ts";
import { shownTime } from "./words.ts";

/** What a status is put together from. */
export interface StatusInput {
  readonly measured: Measurement;
  readonly moment: Moment;
  /** Null before the first pass over memory is over. */
  readonly verdict: SwitchVerdict | null;
  readonly convergence: Convergence;
  /** What is being done about a copy that does not fit; null: nothing. */
  readonly remedies: string | null;
}

/** What the move waits for, in words; for `phase` of a report. */
export function statusOf(input: StatusInput): string {
  const { measured, moment, verdict, convergence, remedies } = input;
  if (measured.stage === "firstRound") return "copying the disks";
  if (measured.stage === "disks") {
    return moment.wantsMemory
      ? "disks in step, starting memory"
      : `disks in step, waiting for ${moment.waitsFor}`;
  }
  if (verdict === null) {
    const then = moment.waitsFor === null ? "" : `; then waiting for ${moment.waitsFor}`;
    return `copying memory, first pass${then}`;
  }
  if (!moment.hasCome) {
    const step = verdict.fits ? "in step" : "copying memory";
    return `${step}, waiting for ${moment.waitsFor}: ${verdict.reason}`;
  }
  if (verdict.fits) return `copying memory: ${verdict.reason}`;
  const why = convergence.verdict === "notConverging" ? convergence.reason : verdict.reason;
  return remedies === null ? `copying memory: ${why}` : `${remedies}: ${why}`;
}

/** The same while nothing can be judged. */
export function statusWithoutLink(
  { link, silentMs }: Judgement,
  { isLinkUp }: Measurement,
): string {
  if (link === "settling") return "the link is back, measuring anew";
  return isLinkUp
    ? `waiting for the link, silent for ${shownTime(silentMs)}`
    : "waiting for the link, it is down";
}
