import { timingSafeEqual } from "node:crypto";
import { type Clock, timestamp } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import { type Role, roleAllows } from "./roles.ts";
import type { StoredToken, TokenStore } from "./stored_token.ts";
import { newToken, tokenDigest } from "./token_text.ts";

/** Tokens that may be in use at once: each request is compared with all of them. */
export const TOKENS_MAX = 256;
/** How exactly the last use of a token is kept; each time it is written costs a write to the disk. */
const LAST_USE_MS = 60_000;
/** Shortest secret that is taken from the operator's file: what `init` writes has 43 characters. */
export const FILE_TOKEN_CHARACTERS_MIN = 32;
/** Timers take 24 days. */
const TIMER_MS_MAX = 24 * 3_600_000;

/** A token as it is shown: everything but what could be used. */
export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly state: "active" | "expired" | "revoked";
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  /** To the minute; null: never used. */
  readonly lastUsedAt: string | null;
}

/** What is asked for a new token. */
export interface TokenRequest {
  readonly name: string;
  readonly role: Role;
  /** RFC 3339; null: until it is revoked. */
  readonly expiresAt: string | null;
}

/** A token that was presented and is good now. */
export interface KnownToken {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

export interface TokenRegistryDeps {
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly audit: (kind: string, body: Record<string, unknown>) => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

type Kept = StoredToken & { readonly bytes: Uint8Array };

/**
 * Who may use the API. The store keeps digests only; they are compared in memory, all of them at each
 * request and each in constant time, so that the time of an answer tells nothing of any token.
 */
export class TokenRegistry {
  readonly #tokens = new Map<string, Kept>();
  readonly #ends = new Map<string, AbortController>();
  readonly #closing = new AbortController();

  constructor(private readonly deps: TokenRegistryDeps) {
    for (const token of deps.store.all()) this.#keep(token);
  }

  /**
   * Takes over the operator's token from its file. Another one than before replaces it; one that was
   * revoked stays revoked.
   *
   * @param text content of the file; null where there is none, because its owner keeps it elsewhere
   * @param path of the file, for messages
   * @throws {GatewayError} `config_invalid` where nobody could administer the gateway, and for a
   *   secret that is too short; `ledger_write_failed`
   */
  takeOver(text: string | null, path: string): void {
    if (text !== null) this.#takeText(text, path);
    if (this.#usable().some(({ role }) => role === "admin")) return;
    const state = text === null ? "there is no such file" : "its token was revoked";
    throw new GatewayError(
      "config_invalid",
      `Cannot use the API token in ${path}: ${state}, and no other token of role admin is known`,
      { hint: "Put a new secret of one line there, such as `openssl rand -base64 32` makes" },
    );
  }

  /** Everything that is known of tokens, oldest first. */
  list(): TokenView[] {
    return [...this.#tokens.values()].map((token) => this.#view(token));
  }

  /**
   * Makes a token. Its text is in the answer and nowhere else.
   *
   * @param by name of the token that asks for it
   * @throws {GatewayError} `request_invalid`, `token_name_taken`, `token_limit`, `ledger_write_failed`
   */
  create({ name, role, expiresAt }: TokenRequest, by: string): TokenView & { token: string } {
    const { clock, audit } = this.deps;
    const expires = expiresAt === null ? null : new Date(expiresAt);
    if (expires !== null && !(expires.getTime() > clock.wallMs())) {
      throw new GatewayError("request_invalid", `Cannot make token ${name}: it would be expired`, {
        hint: "Give a time that lies ahead",
      });
    }
    const usable = this.#usable();
    if (usable.some((token) => token.name === name)) {
      throw new GatewayError("token_name_taken", `Cannot make token ${name}: there is one`, {
        hint: "Use another name, or revoke the old one first",
      });
    }
    if (usable.length >= TOKENS_MAX) {
      throw new GatewayError(
        "token_limit",
        `Cannot make token ${name}: ${usable.length} are in use, the limit is ${TOKENS_MAX}`,
        { hint: "Revoke those that are not needed any more" },
      );
    }
    const text = newToken();
    const expiry = expires?.toISOString() ?? null;
    const token = this.#add(name, role, text, "api", by, expiry);
    audit("token_created", { token: token.id, name, role, expiresAt: expiry, by });
    return { ...this.#view(token), token: text };
  }

  /**
   * Revokes a token: it is refused from now on, and streams that it opened end.
   *
   * @param idOrName a name means the one in use
   * @throws {GatewayError} `token_unknown`, `token_last_admin`, `ledger_write_failed`
   */
  revoke(idOrName: string, by: string): TokenView {
    const token = this.#tokens.get(idOrName) ??
      this.#usable().find(({ name }) => name === idOrName);
    if (!token) {
      throw new GatewayError("token_unknown", `Cannot revoke ${idOrName}: no such token`, {
        hint: "GET /v1/tokens lists them",
      });
    }
    if (token.revokedAt !== null) return this.#view(token);
    const isOther = ({ id, role, expiresAt }: StoredToken) =>
      id !== token.id && role === "admin" && expiresAt === null;
    if (token.role === "admin" && this.#isUsable(token) && !this.#usable().some(isOther)) {
      throw new GatewayError(
        "token_last_admin",
        `Cannot revoke ${token.name}: no other token of role admin lasts`,
        { hint: "Make another one that does not expire first" },
      );
    }
    return this.#view(this.#revoke(token, by));
  }

  /** The token of this text; null for one that is unknown, expired or revoked. */
  find(text: string): KnownToken | null {
    const digest = tokenDigest(text);
    let found: StoredToken | null = null;
    for (const token of this.#usable()) {
      // Every one, whichever fits: see the class.
      if (timingSafeEqual(token.bytes, digest)) found = token;
    }
    if (found === null) return null;
    const { id, name, role } = this.#noteUse(found);
    return { id, name, role };
  }

  /** Aborts when the token is not good any more: what was opened with it ends then. */
  ended(id: string): AbortSignal {
    const known = this.#ends.get(id);
    if (known) return known.signal;
    const end = new AbortController();
    this.#ends.set(id, end);
    void this.#untilExpired(id, end);
    return end.signal;
  }

  close(): void {
    this.#closing.abort();
  }

  #takeText(text: string, path: string): void {
    const hex = tokenDigest(text).toHex();
    const known = [...this.#tokens.values()].find(({ digest }) => digest === hex);
    if (known) {
      if (this.#isUsable(known)) return;
      this.deps.log("warn", `the token in ${path} has expired or was revoked: it opens nothing`);
      return;
    }
    if (text.length < FILE_TOKEN_CHARACTERS_MIN) {
      throw new GatewayError(
        "config_invalid",
        `Cannot use the API token in ${path}: it has ${text.length} characters, allowed: ` +
          `at least ${FILE_TOKEN_CHARACTERS_MIN}`,
        { hint: "Put a random secret there, such as `openssl rand -base64 32` makes" },
      );
    }
    const by = "api-token";
    for (const older of this.#usable()) if (older.origin === "file") this.#revoke(older, by);
    const taken = new Set(this.#usable().map(({ name }) => name));
    let name = "operator";
    for (let number = 2; taken.has(name); number++) name = `operator-${number}`;
    const { id, role } = this.#add(name, "admin", text, "file", by, null);
    this.deps.audit("token_created", { token: id, name, role, expiresAt: null, by });
  }

  #add(
    name: string,
    role: Role,
    text: string,
    origin: StoredToken["origin"],
    createdBy: string,
    expiresAt: string | null,
  ): StoredToken {
    const { store, clock, newId } = this.deps;
    const token = {
      id: newId(),
      name,
      role,
      digest: tokenDigest(text).toHex(),
      origin,
      createdBy,
      createdAt: timestamp(clock.wallMs()),
      expiresAt,
    };
    store.add(token);
    return this.#keep({ ...token, revokedAt: null, lastUsedAt: null });
  }

  #revoke(token: StoredToken, by: string): StoredToken {
    const { store, clock, audit } = this.deps;
    const revokedAt = timestamp(clock.wallMs());
    // Recorded first: what the ledger does not have would be good again after a restart.
    store.revoke(token.id, revokedAt);
    const revoked = this.#keep({ ...token, revokedAt });
    audit("token_revoked", { token: token.id, name: token.name, by });
    this.#ends.get(token.id)?.abort();
    return revoked;
  }

  #keep(token: StoredToken): StoredToken {
    this.#tokens.set(token.id, { ...token, bytes: Uint8Array.fromHex(token.digest) });
    return token;
  }

  #noteUse(token: StoredToken): StoredToken {
    const { store, clock, log } = this.deps;
    const nowMs = clock.wallMs();
    const lastMs = token.lastUsedAt === null ? -Infinity : Date.parse(token.lastUsedAt);
    if (Math.abs(nowMs - lastMs) < LAST_USE_MS) return token;
    const lastUsedAt = timestamp(nowMs);
    const used = this.#keep({ ...token, lastUsedAt });
    try {
      store.used(token.id, lastUsedAt);
    } catch (error) {
      // A ledger that cannot be written must not keep its operator from looking why.
      log("error", toGatewayError(error).message);
    }
    return used;
  }

  #usable(): Kept[] {
    return [...this.#tokens.values()].filter((token) => this.#isUsable(token));
  }

  #isUsable({ revokedAt, expiresAt }: StoredToken): boolean {
    if (revokedAt !== null) return false;
    return expiresAt === null || Date.parse(expiresAt) > this.deps.clock.wallMs();
  }

  #view(token: StoredToken): TokenView {
    const { id, name, role, createdBy, createdAt, expiresAt, revokedAt, lastUsedAt } = token;
    const state = revokedAt !== null ? "revoked" : this.#isUsable(token) ? "active" : "expired";
    return { id, name, role, state, createdBy, createdAt, expiresAt, revokedAt, lastUsedAt };
  }

  async #untilExpired(id: string, end: AbortController): Promise<void> {
    const { clock } = this.deps;
    const waiting = AbortSignal.any([end.signal, this.#closing.signal]);
    const expiresAt = this.#tokens.get(id)?.expiresAt ?? null;
    if (expiresAt === null) return;
    while (!waiting.aborted) {
      const leftMs = Date.parse(expiresAt) - clock.wallMs();
      if (leftMs <= 0) return end.abort();
      await clock.sleep(Math.min(leftMs, TIMER_MS_MAX), waiting).catch(() => {});
    }
  }
}

/** Whether a token opens what needs this role. @throws {GatewayError} `role_insufficient` */
export function requireRole({ name, role }: KnownToken, needs: Role, action: string): void {
  if (roleAllows(role, needs)) return;
  throw new GatewayError(
    "role_insufficient",
    `Cannot ${action}: token ${name} has role ${role}, this needs ${needs}`,
    { hint: `Use a token of role ${needs}; an admin makes one with POST /v1/tokens` },
  );
}
