import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { GatewayError } from "../core/errors.ts";
import { openDatabase, SCHEMA_FILES, SCHEMA_VERSION } from "./database.ts";
import { openLedger } from "./ledger.ts";

const clock = {
  wallMs: () => Date.UTC(2026, 0, 2),
  nowMs: () => 0,
  sleep: () => Promise.resolve(),
};
const TOKEN = {
  id: "t1",
  name: "ada",
  role: "admin" as const,
  digest: "ab".repeat(32),
  origin: "api" as const,
  createdBy: "api-token",
  createdAt: "2026-01-02T00:00:00.000Z",
  expiresAt: null,
};

function tables(database: DatabaseSync): unknown[] {
  return database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
    .all();
}

Deno.test("a ledger of every older version becomes what a new one is, and keeps its rows", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const fresh = openDatabase(":memory:");
    for (let version = 1; version < SCHEMA_VERSION; version++) {
      const path = `${directory}/${version}.sqlite`;
      const old = new DatabaseSync(path);
      for (const file of SCHEMA_FILES.slice(0, version)) {
        old.exec(Deno.readTextFileSync(new URL(`./schema/${file}`, import.meta.url)));
      }
      old.exec(`INSERT INTO audit (at, kind, body) VALUES ('then', 'x', '{}')`);
      old.exec(`PRAGMA user_version = ${version}`);
      old.close();
      const ledger = openLedger(path, clock);
      assert.deepEqual(ledger.auditEntries({ limit: 9 }).map(({ at }) => at), ["then"]);
      ledger.close();
      const upgraded = openDatabase(path);
      assert.deepEqual(tables(upgraded), tables(fresh), `from version ${version}`);
      upgraded.close();
    }
    fresh.close();
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the audit is read in pages, newest first, all of it or one kind", () => {
  const ledger = openLedger(":memory:", clock);
  for (let count = 1; count <= 5; count++) ledger.audit(count % 2 ? "odd" : "even", { count });
  const counts = (query: Parameters<typeof ledger.auditEntries>[0]) =>
    ledger.auditEntries(query).map(({ body }) => body.count);
  assert.deepEqual(counts({ limit: 2 }), [5, 4]);
  const { number } = ledger.auditEntries({ limit: 2 })[1];
  assert.deepEqual(counts({ limit: 2, before: number }), [3, 2]);
  assert.deepEqual(counts({ limit: 9, kind: "odd" }), [5, 3, 1]);
  assert.deepEqual(counts({ limit: 9, kind: "odd", before: number }), [3, 1]);
  assert.deepEqual(counts({ limit: 9, kind: "none" }), []);
  ledger.close();
});

Deno.test("tokens are kept with what happens to them, one row for each digest", () => {
  const { tokens, close } = openLedger(":memory:", clock);
  tokens.add(TOKEN);
  assert.throws(
    () => tokens.add({ ...TOKEN, id: "t2" }),
    (error) => error instanceof GatewayError && error.code === "ledger_write_failed",
  );
  tokens.used("t1", "2026-01-03T00:00:00.000Z");
  tokens.revoke("t1", "2026-01-04T00:00:00.000Z");
  assert.deepEqual(tokens.all(), [{
    ...TOKEN,
    lastUsedAt: "2026-01-03T00:00:00.000Z",
    revokedAt: "2026-01-04T00:00:00.000Z",
  }]);
  close();
});

Deno.test("the generation of a peer's key never goes back", () => {
  const ledger = openLedger(":memory:", clock);
  assert.equal(ledger.keyGeneration("sha256:a"), 0);
  ledger.keySeen("sha256:a", 3);
  ledger.keySeen("sha256:a", 2);
  ledger.keySeen("sha256:b", 1);
  assert.equal(ledger.keyGeneration("sha256:a"), 3);
  assert.equal(ledger.keyGeneration("sha256:b"), 1);
  ledger.close();
});

Deno.test("an accepted machine lives here until a later record of who owns it says otherwise", () => {
  const ledger = openLedger(":memory:", clock);
  const arrival = (id: string, guestId: string, peer = "b") => {
    const migration = { id, guestId, side: "destination" as const, peer, options: {} };
    ledger.createMigration(migration, { kind: "created" }, { memoryBytes: 5, diskBytes: 7 });
  };
  const own = (guestId: string, epoch: number, owner: string, migrationId: string) =>
    ledger.claim({ guestId, epoch, owner, migrationId, decidedBy: "handover", reason: "" });
  arrival("m1", "g1");
  arrival("m2", "g2");
  arrival("m3", "g3");
  arrival("m4", "g1", "c");
  own("g1", 2, "here", "m1");
  own("g2", 2, "here", "m2");
  own("g2", 3, "b", "m9");
  assert.deepEqual(
    ledger.acceptances("b", "here").map(({ migrationId, livesHere }) => [migrationId, livesHere]),
    [["m1", true], ["m2", false], ["m3", false]],
  );
  assert.deepEqual(ledger.acceptances("c", "here"), [
    { migrationId: "m4", guestId: "g1", memoryBytes: 5, diskBytes: 7, livesHere: false },
  ]);
  ledger.close();
});
