import type { SwitchWindow } from "../control/wishes.ts";
import { fixedCap } from "../fixed_cap.ts";
import type { MigrationChanges } from "../options.ts";
import type { Decision } from "../report.ts";
import type { Move } from "./move.ts";

/**
 * Takes over what an operator wishes of a move that runs: from here on its options say so, and each
 * wish is one of its decisions. What follows from them is decided where the machine is measured; a
 * cap alone is in force at once.
 */
export function change(move: Move, changes: MigrationChanges): void {
  const { options, link, id, draft } = move.deps;
  Object.assign(options, changes);
  if (changes.rate !== undefined) {
    const cap = fixedCap(changes.rate);
    link.setMigrationRateLimit(id, cap);
    draft.rateBytesPerSecond = cap;
  }
  link.setMigrationShare(id, options);
  if (changes.hold !== undefined) {
    move.holdRequested = changes.hold;
    if (changes.hold) move.switchWords = 0;
  }
  for (const [action, reason, numbers] of decisions(changes)) draft.decide(action, reason, numbers);
}

type Decided = readonly [action: string, reason: string, numbers: Decision["numbers"]];

/** In the operator's words: what of it was changed by hand, and to what. */
function* decisions(changes: MigrationChanges): Generator<Decided> {
  const { rate, maxDowntimeMs, weight, priority, whenOver, window, hold, holdMemoryMs } = changes;
  if (rate !== undefined) {
    yield ["rate", `the operator ${ratePhrase(rate)}`, { bytesPerSecond: fixedCap(rate) }];
  }
  if (maxDowntimeMs !== undefined) yield ["budget", "the operator set it", { maxDowntimeMs }];
  if (weight !== undefined) yield ["weight", "the operator set it", { weight }];
  if (priority !== undefined) yield ["priority", `the operator set it to ${priority}`, {}];
  if (whenOver !== undefined) {
    yield ["remedies", `the operator set their order: ${whenOver.join(", ")}`, {}];
  }
  if (window !== undefined) yield ["window", `the operator ${windowPhrase(window)}`, {}];
  if (hold !== undefined) {
    yield ["hold", `the operator ${hold ? "asked for it" : "ended it"}`, {}];
  }
  if (holdMemoryMs !== undefined) {
    yield ["hold", "the operator set how long memory stays in step", { holdMemoryMs }];
  }
}

function ratePhrase(rate: NonNullable<MigrationChanges["rate"]> | null): string {
  if (rate === null) return "took the cap away";
  return typeof rate === "number" ? "set the cap" : `chose the policy ${rate.policy}`;
}

function windowPhrase(window: SwitchWindow | null): string {
  if (window === null) return "took the window away";
  const until = window.until === null ? "" : ` until ${window.until}`;
  return `allowed the switch from ${window.from}${until}`;
}
