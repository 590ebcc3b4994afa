import { OpenAPIHono } from "@hono/zod-openapi";
import type { Clock } from "../core/clock.ts";
import type { GatewayService } from "../gateway/service.ts";
import type { Authorize } from "../security/authorize.ts";
import type { ApiEnv } from "./api_env.ts";
import type { ServedAs } from "./auth/expected_host.ts";
import { invalidRequest } from "./invalid_request.ts";
import type { ProcessFigures } from "./metrics.ts";
import { problem } from "./schemas/problem.ts";

/** Writes one event to the gateway's log. */
export type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Everything that the API is built from. */
export interface HttpDeps {
  readonly service: GatewayService;
  readonly authorized: Authorize;
  readonly clock: Clock;
  readonly log: Log;
  /** Figures of this process, read at each scrape of /metrics. */
  readonly processFigures: () => ProcessFigures;
  /** Names and settings of the WAN profiles that this gateway knows. */
  readonly profiles: () => Promise<readonly unknown[]>;
  /** Hears of what concerns security and of requests that change something. */
  readonly audit?: (kind: string, body: Record<string, unknown>) => void;
  /** Where it is served; a loopback address without it. */
  readonly served?: ServedAs;
  /** Ends the event streams, so that a stopping server need not wait for their readers. */
  readonly closing?: AbortSignal;
}

/** An empty group of routes whose bad input is answered as `request_invalid`. */
export function router(): OpenAPIHono<ApiEnv> {
  return new OpenAPIHono<ApiEnv>({
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
