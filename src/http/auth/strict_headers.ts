import type { MiddlewareHandler } from "hono";

/**
 * Headers of everything that is served: nothing may be run, framed, sniffed, stored or read by a page
 * of another origin, and no request tells where it came from. There is no CORS header, so browsers
 * keep answers from other origins and do not send their preflighted requests at all.
 */
export const STRICT_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Sets them on every answer, errors included; a page has a policy of its own. */
export function strictHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    const own = c.res.headers.get("content-security-policy");
    for (const [name, value] of Object.entries(STRICT_HEADERS)) c.header(name, value);
    if (own !== null) c.header("content-security-policy", own);
  };
}
