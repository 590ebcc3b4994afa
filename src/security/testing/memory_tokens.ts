import { VirtualClock } from "../../testing/virtual_clock.ts";
import type { StoredToken, TokenStore } from "../stored_token.ts";
import { TokenRegistry } from "../token_registry.ts";

/** Tokens in memory, with the rows as the store has them. */
export function memoryTokens(rows: StoredToken[] = []): TokenStore & { rows: StoredToken[] } {
  const change = (id: string, changes: Partial<StoredToken>) => {
    const at = rows.findIndex((row) => row.id === id);
    rows[at] = { ...rows[at], ...changes };
  };
  return {
    rows,
    all: () => [...rows],
    add: (token) => void rows.push({ ...token, revokedAt: null, lastUsedAt: null }),
    revoke: (id, revokedAt) => change(id, { revokedAt }),
    used: (id, lastUsedAt) => change(id, { lastUsedAt }),
  };
}

/** A registry over `store` whose clock, audit and log are in the test's hands. */
export function testRegistry(store = memoryTokens(), clock = new VirtualClock()) {
  const audited: [string, Record<string, unknown>][] = [];
  const logged: string[] = [];
  let ids = store.rows.length;
  const registry = new TokenRegistry({
    store,
    clock,
    newId: () => `t${++ids}`,
    audit: (kind, body) => audited.push([kind, body]),
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  return { registry, store, clock, audited, logged };
}
