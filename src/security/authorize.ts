import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { Attempts, clientOf } from "./attempts.ts";
import type { KnownToken, TokenRegistry } from "./token_registry.ts";

/** Whoever sent a request, as far as its token tells. */
export interface Caller extends KnownToken {
  /** Where the request came from. */
  readonly address: string;
  /** Aborts when the token is not good any more. */
  readonly ended: AbortSignal;
}

/** What is answered without a good token. */
export interface Denial {
  readonly error: GatewayError;
  /** When to come again; null where waiting does not help. */
  readonly retryAfterMs: number | null;
}

export type Verdict =
  | { readonly caller: Caller; readonly denial?: undefined }
  | { readonly caller?: undefined; readonly denial: Denial };

/** Judges the `Authorization` header of a request that came from `address`. */
export type Authorize = (header: string | undefined, address: string) => Verdict;

export interface AuthorizeDeps {
  readonly tokens: Pick<TokenRegistry, "find" | "ended">;
  readonly clock: Clock;
  /** Hears of each wrong token; whoever writes it down has to bound that. */
  readonly refused: (address: string) => void;
  readonly audit: (kind: string, body: Record<string, unknown>) => void;
  readonly attempts?: Attempts;
}

/** Judges by the tokens that are known, and locks out who tries too many wrong ones (`attempts.ts`). */
export function tokenAuthorizer(deps: AuthorizeDeps): Authorize {
  const { tokens, clock, refused, audit, attempts = new Attempts() } = deps;
  return (header, address) => {
    const text = bearerOf(header);
    if (text === null) return { denial: { error: tokenRefused(header), retryAfterMs: null } };
    const client = clientOf(address);
    const found = tokens.find(text);
    const lockedForMs = attempts.lockedForMs(client, clock.nowMs());
    if (found !== null && (lockedForMs === 0 || attempts.isKnown(client, found.id))) {
      attempts.right(client, found.id);
      return { caller: { ...found, address, ended: tokens.ended(found.id) } };
    }
    if (lockedForMs > 0) return { denial: tooMany(lockedForMs) };
    refused(address);
    const { waitMs, locked } = attempts.wrong(client, clock.nowMs());
    if (locked) audit("address_locked", { address: client, lockedMs: waitMs });
    if (waitMs > 0) return { denial: tooMany(waitMs) };
    return { denial: { error: tokenRefused(header), retryAfterMs: null } };
  };
}

/** The token of an `Authorization` header (RFC 6750, section 2.1); null where it carries none. */
export function bearerOf(header: string | undefined): string | null {
  return /^Bearer +([^\s]+) *$/i.exec(header ?? "")?.[1] ?? null;
}

/** What a request without a good token is answered. */
export function tokenRefused(header: string | undefined): GatewayError {
  return new GatewayError(
    "api_token_invalid",
    bearerOf(header) === null
      ? "Cannot answer this request: it carries no bearer token"
      : "Cannot answer this request: its bearer token is none that is good at this gateway",
    {
      hint: "Send `Authorization: Bearer TOKEN` with the content of the site's api-token file, " +
        "or with a token that `causeway tokens create` made",
    },
  );
}

function tooMany(waitMs: number): Denial {
  const seconds = Math.ceil(waitMs / 1000);
  return {
    error: new GatewayError(
      "too_many_attempts",
      `Cannot judge this token: too many wrong ones were sent; try again in ${seconds} s`,
      { hint: "Stop whatever sends wrong tokens; GET /v1/audit names its address" },
    ),
    retryAfterMs: seconds * 1000,
  };
}
