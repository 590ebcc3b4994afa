import type { MiddlewareHandler } from "hono";
import { GatewayError } from "../../core/errors.ts";
import { answerProblem } from "../problem.ts";

/** Where the API is served, and which other names it is known by. */
export interface ServedAs {
  /** Host of the listening address. */
  readonly hostname: string;
  /** Names that a proxy before it passes on; with any, only these and the address itself are good. */
  readonly names: readonly string[];
}

/**
 * Refuses requests that name another host than this API. A page of somebody else whose name was made
 * to resolve to the loopback address (DNS rebinding) is of its own origin to the browser; the name
 * that it has to send gives it away. An API on an address of the network may be reached by any name
 * unless the configuration lists them.
 */
export function expectedHost(served: ServedAs): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    if (isExpectedHost(host, served)) return await next();
    return answerProblem(
      c,
      new GatewayError(
        "host_not_expected",
        "Cannot answer this request: it names a host that this API is not served under",
        { hint: "Use the address of the API, or list the name in httpHosts of the configuration" },
      ),
    );
  };
}

/** @param host of a request, with or without a port */
export function isExpectedHost(host: string, { hostname, names }: ServedAs): boolean {
  const name = host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (names.some((known) => known.toLowerCase() === name)) return true;
  if (isLoopback(name)) return true;
  if (isLoopback(hostname)) return false;
  return names.length === 0 || name === hostname.toLowerCase() || isAddress(name);
}

/** True for the names and addresses that only this machine reaches. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.toLowerCase();
  return name === "localhost" || name === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

function isAddress(name: string): boolean {
  return name.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name);
}
