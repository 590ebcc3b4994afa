import { GatewayError } from "../../core/errors.ts";
import type { QuestionAnswer } from "../report.ts";
import type { Move } from "./move.ts";

/** What of a move an answer touches. */
interface Asked extends Pick<Move, "answer"> {
  readonly deps: Pick<Move["deps"], "draft" | "options" | "id">;
}

/**
 * Takes an operator's answer to the open question. A longer pause that is granted is the budget from
 * here on; what a refusal leads to is decided where the machine is measured.
 *
 * @throws {GatewayError} `no_question`
 */
export function answerQuestion(move: Asked, answer: QuestionAnswer): void {
  const { draft, options, id } = move.deps;
  if (draft.question === null) {
    throw new GatewayError("no_question", `Cannot answer ${id}: it asks nothing now`, {
      hint: "`question` of its report has what it asks; the budget can be changed at any time",
    });
  }
  const { wantedDowntimeMs } = draft.question;
  if (answer.accept) options.maxDowntimeMs = answer.maxDowntimeMs ?? wantedDowntimeMs;
  draft.decide("answer", `the operator ${answer.accept ? "granted" : "refused"} a longer pause`, {
    wantedDowntimeMs,
    maxDowntimeMs: options.maxDowntimeMs,
  });
  draft.withdrawQuestion();
  move.answer = answer;
}
