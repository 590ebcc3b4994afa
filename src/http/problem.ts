import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { ERRORS } from "../core/error_codes.ts";
import { type ErrorEntry, GatewayError } from "../core/errors.ts";

/** What a client hears about a defect: its details stay in the gateway's log. */
const INTERNAL_MESSAGE = "Cannot answer this request: a defect in the gateway";

/** The body of every answer that is an error (RFC 9457), with the contract's three fields. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  message: string;
  hint: string;
}

/** The problem document of an expected failure; status and title come from the table of codes. */
export function problemOf(error: GatewayError): Problem {
  const entry: ErrorEntry = ERRORS[error.code];
  return {
    type: `urn:causeway:error:${error.code}`,
    title: entry.meaning,
    status: entry.httpStatus,
    ...error.toJSON(),
  };
}

/** Anything that was thrown, as a client may see it; `defect` is true where the log must hear of it. */
export function publicError(thrown: unknown): { error: GatewayError; defect: boolean } {
  if (thrown instanceof GatewayError && thrown.code !== "internal") {
    return { error: thrown, defect: false };
  }
  const error = new GatewayError("internal", INTERNAL_MESSAGE, {
    hint: "Look at the gateway's log and report what it says",
    cause: thrown,
  });
  return { error, defect: true };
}

/** Answers with `application/problem+json`. */
export function answerProblem(
  c: Context,
  error: GatewayError,
  headers: Record<string, string> = {},
): Response {
  const problem = problemOf(error);
  return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
    "content-type": "application/problem+json",
    ...headers,
  });
}
