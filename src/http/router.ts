import { OpenAPIHono } from "@hono/zod-openapi";
import type { Clock } from "../core/clock.ts";
import type { GatewayService } from "../gateway/service.ts";
import type { VerifyAuthorization } from "./bearer.ts";
import { invalidRequest } from "./invalid_request.ts";
import type { ProcessFigures } from "./metrics.ts";
import { problem } from "./schemas/problem.ts";

/** Writes one event to the gateway's log. */
export type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Everything that the API is built from. */
export interface HttpDeps {
  readonly service: GatewayService;
  readonly authorized: VerifyAuthorization;
  readonly clock: Clock;
  readonly log: Log;
  /** Figures of this process, read at each scrape of /metrics. */
  readonly processFigures: () => ProcessFigures;
  /** Names and settings of the WAN profiles that this gateway knows. */
  readonly profiles: () => Promise<readonly unknown[]>;
  /** Ends the event streams, so that a stopping server need not wait for their readers. */
  readonly closing?: AbortSignal;
}

/** An empty group of routes whose bad input is answered as `request_invalid`. */
export function router(): OpenAPIHono {
  return new OpenAPIHono({
    defaultHook(result) {
      if (!result.success) throw invalidRequest(result.target, result.error.issues);
    },
  });
}

/** The answer of a route that is an error, for the description of the API. */
export const PROBLEM_ANSWER = {
  default: {
    description: "What went wrong, and what to try next",
    content: { "application/problem+json": { schema: problem } },
  },
} as const;
