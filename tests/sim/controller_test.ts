import assert from "node:assert/strict";
import { gateLimitMs } from "../../src/migration/control/forecast.ts";
import { type ModelledMove, runMove, type TimedAction } from "../../src/migration/control/model.ts";
import { type Case, caseOf } from "./controller_cases.ts";

const CASES = 5_000;
const FIRST_SEED = 1;
/** Of the switches that the budget decided, those whose pause fits it to the millisecond. */
const WITHIN_BUDGET_RATIO = 0.93;
/** Pauses that are as long as was forecast, to 25 % or 50 ms. */
const FORECAST_RATIO = 0.9;

/** What is asserted of each move; each says what is wrong, or nothing. */
const RULES: Record<string, (move: ModelledMove, the: Case) => string | null> = {
  "every move ends, or stays for a reason that is said": (move, { wishes, machine }) => {
    if (move.reason === "") return "no reason";
    if (move.end === "held" && !wishes.hold && wishes.window === null) return "held by nobody";
    if (move.end === "asked" && !wishes.whenOver.includes("ask")) return "asked unasked";
    if (move.end === "waiting" && move.convergence.verdict === "converging" && machine.isRunning) {
      return move.totalMs < 20 * 60_000 ? "left although it converges" : null;
    }
    return null;
  },
  "no pause is over the budget without leave, but for what the gate lets through": (move, the) => {
    if (move.end !== "switched" || move.isForced || !isDecidedByBudget(the)) return null;
    const limitMs = gateLimitMs(move.budgetMs);
    return move.budgetedMs! <= limitMs ? null : `${move.budgetedMs} ms of ${limitMs}`;
  },
  "a switch is explained by its forecast": (move) => {
    const last = move.actions.findLast(({ kind }) => kind === "switch");
    if (!last || move.isForced) return null;
    const { budgetedMs, budgetMs, transferMs, workMs } = last.numbers;
    if (budgetedMs! > budgetMs!) return `${budgetedMs} ms of ${budgetMs}`;
    return Math.abs(transferMs! + workMs! - budgetedMs!) <= 2 ? null : "parts make no sum";
  },
  "remedies are those that were wished, and possible": ({ actions }, { wishes, machine }) =>
    wrong(actions, (action) => {
      switch (action.kind) {
        case "throttleDisks":
          return wishes.whenOver.includes("throttleDisks") && machine.canThrottleDisks;
        case "throttleCpu":
          return wishes.whenOver.includes("throttleCpu") && machine.canThrottleCpu;
        case "ask":
          return wishes.whenOver.includes("ask");
        case "giveUp":
          return wishes.whenOver.includes("giveUp");
        default:
          return true;
      }
    }),
  "remedies follow a finding that their numbers show": ({ actions }) =>
    wrong(actions, ({ kind, numbers, reason }) => {
      const isStep = kind === "throttleCpu" && numbers.beforeShare !== undefined ||
        kind === "throttleDisks" && numbers.waitingBytes !== undefined &&
          !/link carries more|by itself/.test(reason);
      if (!isStep && kind !== "ask" && kind !== "giveUp") return true;
      const { dirtyBytesPerSecond: dirty, goodputBytesPerSecond: goodput } = numbers;
      if (numbers.waitingBytes! <= numbers.fitBytes!) return false;
      if (/as much as the link/.test(reason)) return dirty! > 0.8 * goodput!;
      if (/the link carries/.test(reason)) return dirty! >= goodput!;
      if (/as much again from one pass/.test(reason)) return dirty! <= 0.8 * goodput!;
      return /still too many|shorter than the hand-over/.test(reason);
    }),
  "a machine's processor is slowed step by step, and never given back within a stream": (
    { actions },
  ) => {
    let share = 0;
    return wrong(actions, (action) => {
      if (action.kind === "parkMemory") share = 0;
      if (action.kind !== "throttleCpu") return true;
      const isRising = action.numbers.beforeShare === undefined || action.share > share;
      share = action.share;
      return isRising && action.share > 0 && action.share <= 0.99;
    });
  },
  "giving up follows a verdict that has stood": (move) =>
    move.end !== "gaveUp" ||
      (move.convergence.verdict === "notConverging" &&
        move.actions.at(-1)!.numbers.badForMs! >= 20_000)
      ? null
      : move.reason,
  "a question asks for more than there is, and for enough": ({ actions }) =>
    wrong(actions, (action) =>
      action.kind !== "ask" ||
      (action.question.wantedDowntimeMs > action.numbers.budgetMs! &&
        action.question.wantedDowntimeMs >= action.numbers.leastBudgetedMs!)),
  "caps change rarely, and only where it matters": ({ actions }, { options }) => {
    const rates = actions.filter(({ kind }) => kind === "rate");
    const isFree = (atMs: number) =>
      (options.changes ?? []).some((change) => Math.abs(change.atMs - atMs) <= 1_500);
    const isLast = (rate: TimedAction) =>
      actions.some(({ kind, atMs }) => kind === "switch" && Math.abs(atMs - rate.atMs) < 1_500);
    return wrong(rates, (rate) => {
      const before = rates[rates.indexOf(rate) - 1];
      if (!before || isFree(rate.atMs) || isLast(rate) || isLast(before)) return true;
      const [from, to] = [capOf(before), capOf(rate)];
      return rate.atMs - before.atMs >= 500 && Math.abs(to - from) >= 0.03 * Math.min(from, to);
    });
  },
  "constant conditions turn the cap around at most once in 10 s": ({ actions }, the) => {
    if (!the.isConstant) return null;
    const turnsAtMs = reversals(actions).filter((atMs) => atMs > 10_000);
    const early = turnsAtMs.find((atMs, index) => atMs - (turnsAtMs[index - 1] ?? -1e9) < 10_000);
    return early === undefined ? null : `turns at ${turnsAtMs.map((ms) => ms / 1000)} s`;
  },
  "nothing is done while the link is gone": ({ actions }, { path, options, wishes }) => {
    const { segments, periodMs } = path;
    return wrong(actions, ({ atMs, kind }) => {
      const follows = typeof wishes.rate !== "object" || wishes.rate?.policy !== "schedule";
      if (kind === "rate" && ((options.changes ?? []).length > 0 || !follows)) return true;
      const ms = periodMs === null ? atMs : atMs % periodMs;
      const index = segments.findLastIndex(({ fromMs }) => fromMs <= ms);
      const { fromMs, isDark, roundTripMs } = segments[index];
      return !isDark || ms - fromMs < 1_500 + 3.5 * roundTripMs;
    });
  },
};

Deno.test(`the controller keeps its promises in ${CASES} moves`, () => {
  const failures: string[] = [];
  let decided = 0;
  let within = 0;
  let forecast = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES; seed++) {
    const the = caseOf(seed);
    const move = runMove(the.machine, the.path, the.wishes, seed, the.options);
    for (const [rule, check] of Object.entries(RULES)) {
      const problem = check(move, the);
      if (problem !== null) failures.push(`seed ${seed}: not so: ${rule}: ${problem}`);
    }
    if (move.end !== "switched" || move.isForced || !isDecidedByBudget(the)) continue;
    decided++;
    if (move.budgetedMs! <= move.budgetMs) within++;
    const errorMs = Math.abs(move.downtimeMs! - move.predictedDowntimeMs!);
    if (errorMs <= Math.max(50, 0.25 * move.downtimeMs!)) forecast++;
  }
  const shown = failures.slice(0, 20).join("\n");
  assert.equal(failures.length, 0, `${failures.length} broken; caseOf(seed) has each\n${shown}`);
  assert.ok(decided > CASES / 3, `only ${decided} switches were decided by the budget`);
  assert.ok(within >= WITHIN_BUDGET_RATIO * decided, `${within} of ${decided} within the budget`);
  assert.ok(forecast >= FORECAST_RATIO * decided, `${forecast} of ${decided} as forecast`);
});

Deno.test("a move is the same for the same seed", () => {
  for (const seed of [3, 4, 5]) {
    const { machine, path, wishes, options } = caseOf(seed);
    const run = () => runMove(machine, path, wishes, seed, options);
    assert.deepEqual(run(), run());
  }
});

/** The machine runs, and copies while it does: its pause is what the budget is for. */
function isDecidedByBudget({ machine, options }: Case): boolean {
  return machine.isRunning && options.strategy === "precopy";
}

/** The first action that is not as it has to be, in words. */
function wrong(
  actions: readonly TimedAction[],
  isRight: (action: TimedAction) => boolean,
): string | null {
  const action = actions.find((each) => !isRight(each));
  return action === undefined ? null : JSON.stringify(action);
}

function capOf(action: TimedAction): number {
  return action.kind === "rate" ? action.bytesPerSecond ?? Infinity : NaN;
}

/** When the cap had gone 20 % back from where it turned. The last one, of the pause, is no turn. */
function reversals(actions: readonly TimedAction[]): number[] {
  const switchAtMs = actions.find(({ kind }) => kind === "switch")?.atMs ?? Infinity;
  const turnsAtMs: number[] = [];
  let extreme: number | null = null;
  let direction = 0;
  for (const action of actions) {
    if (action.kind !== "rate" || action.atMs >= switchAtMs) continue;
    const cap = capOf(action);
    extreme ??= cap;
    const change = (cap - extreme) / Math.max(extreme, 1);
    if (direction === 0 && Math.abs(change) > 0.2) direction = Math.sign(change);
    else if (Math.sign(change) === -direction && Math.abs(change) > 0.2) {
      direction = -direction;
      turnsAtMs.push(action.atMs);
      extreme = cap;
    }
    if (Math.sign(cap - extreme) === direction) extreme = cap;
  }
  return turnsAtMs;
}
