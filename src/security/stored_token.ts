import type { Role } from "./roles.ts";

/** A token of the API as it is kept: never its text. */
export interface StoredToken {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the text, 64 hexadecimal digits. */
  readonly digest: string;
  /** `file`: the operator's copy at `apiTokenFile`; a new content there revokes the older one. */
  readonly origin: "file" | "api";
  /** Name of the token that made it, or `api-token` for the file. */
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
}

/** Where tokens are kept. Writing throws `GatewayError` `ledger_write_failed`. */
export interface TokenStore {
  all(): StoredToken[];
  add(token: Omit<StoredToken, "revokedAt" | "lastUsedAt">): void;
  revoke(id: string, at: string): void;
  used(id: string, at: string): void;
}
