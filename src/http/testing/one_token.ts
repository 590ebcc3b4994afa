import { timingSafeEqual } from "node:crypto";
import { type Authorize, bearerOf, tokenRefused } from "../../security/authorize.ts";
import type { Role } from "../../security/roles.ts";
import { tokenDigest } from "../../security/token_text.ts";

/** Knows one token, for an application without a gateway. */
export function oneToken(token: string, role: Role = "admin"): Authorize {
  const ended = new AbortController().signal;
  return (header, address) => {
    const text = bearerOf(header);
    if (text !== null && timingSafeEqual(tokenDigest(text), tokenDigest(token))) {
      return { caller: { id: "t-1", name: "test", role, address, ended } };
    }
    return { denial: { error: tokenRefused(header), retryAfterMs: null } };
  };
}
