import { createHash, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../core/errors.ts";

/** Says whether an `Authorization` header carries the right token. */
export type VerifyAuthorization = (header: string | undefined) => boolean;

/**
 * Compares in a time that depends neither on the content nor on the length of what was sent: both
 * sides are hashed first, and the digests are compared whole.
 *
 * @throws {RangeError} for an empty token, which would let everybody in
 */
export function bearerVerifier(token: string): VerifyAuthorization {
  if (token.length === 0) throw new RangeError("The API token is empty");
  const expected = digest(token);
  return (header) => {
    const sent = /^Bearer +([^\s]+) *$/i.exec(header ?? "")?.[1];
    return timingSafeEqual(digest(sent ?? ""), expected) && sent !== undefined;
  };
}

/** What a request without the right token is answered. */
export function tokenRefused(header: string | undefined): GatewayError {
  return new GatewayError(
    "api_token_invalid",
    header === undefined
      ? "Cannot answer this request: it carries no bearer token"
      : "Cannot answer this request: its bearer token is not the one of this gateway",
    { hint: "Send `Authorization: Bearer TOKEN` with the content of the site's api-token file" },
  );
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
