import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { Authorize, Denial } from "../../security/authorize.ts";
import type { Role } from "../../security/roles.ts";
import { requireRole } from "../../security/token_registry.ts";
import type { ApiEnv } from "../api_env.ts";
import { answerProblem } from "../problem.ts";
import { neededRole } from "./route_roles.ts";

export interface AuthenticateDeps {
  readonly authorized: Authorize;
  /** Hears of every request that was to change something, and how it was answered. */
  readonly audit?: (kind: string, body: Record<string, unknown>) => void;
}

/** Lets a request pass whose token is good and whose role is enough; `c.var.caller` is set then. */
export function authenticate({ authorized, audit }: AuthenticateDeps): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { method, path } = c.req;
    const needs = roleFor(c);
    if (needs === null) return await next();
    const { caller, denial } = authorized(c.req.header("authorization"), clientAddress(c.env));
    if (denial) return answerProblem(c, denial.error, headersOf(denial));
    if (needs !== undefined) {
      try {
        requireRole(caller, needs, `${method} ${path}`);
      } catch (error) {
        audit?.("role_refused", { token: caller.name, address: caller.address, method, path });
        throw error;
      }
    }
    c.set("caller", caller);
    await next();
    if (needs === undefined || needs === "read") return;
    if (method === "GET" || method === "HEAD") return;
    const { name: token, address } = caller;
    audit?.("request", { token, address, method, path, status: c.res.status });
  };
}

/** What no table names, and yet would be served, is for those who may do everything. */
function roleFor(c: Context): Role | null | undefined {
  const needs = neededRole(c.req.method, c.req.path);
  if (needs !== undefined) return needs;
  return matchedRoutes(c).some(({ method }) => method !== "ALL") ? "admin" : undefined;
}

/** The address that a request came from, as the server gives it to the application. */
export function clientAddress(env: unknown): string {
  const { remoteAddr } = (env ?? {}) as { remoteAddr?: { hostname?: string } };
  return remoteAddr?.hostname ?? "an unknown address";
}

function headersOf({ retryAfterMs }: Denial): Record<string, string> {
  if (retryAfterMs === null) return { "www-authenticate": "Bearer" };
  return { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
}
