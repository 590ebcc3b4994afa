import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { GatewayError } from "../core/errors.ts";
import { openLedger } from "./ledger.ts";
import { openDatabase } from "./database.ts";

const clock = {
  wallMs: () => Date.UTC(2026, 0, 2),
  nowMs: () => 0,
  sleep: () => Promise.resolve(),
};

function migration(id: string) {
  return { id, guestId: "g", side: "source" as const, peer: "b", options: { hold: true } };
}

Deno.test("the ledger gives back events in the order in which they were appended", () => {
  const ledger = openLedger(":memory:", clock);
  ledger.createMigration(migration("m"), { kind: "created" });
  ledger.append("m", { kind: "began" });
  ledger.append("m", { kind: "paused", atWallMs: 7 } as { kind: string });
  assert.deepEqual(ledger.events("m").map(({ kind }) => kind), ["created", "began", "paused"]);
  assert.deepEqual(ledger.events("m")[2], {
    kind: "paused",
    atWallMs: 7,
    at: "2026-01-02T00:00:00.000Z",
  });
  assert.deepEqual(ledger.migrations()[0].options, { hold: true });
  ledger.close();
});

Deno.test("the highest epoch owns a guest, and a claim beats a refusal of the same epoch", () => {
  const ledger = openLedger(":memory:", clock);
  const record = { guestId: "g", migrationId: null, decidedBy: "test", reason: "" };
  assert.equal(ledger.ownership("g"), null);
  ledger.claim({ ...record, epoch: 2, owner: null });
  ledger.claim({ ...record, epoch: 1, owner: "a" });
  assert.equal(ledger.ownership("g")?.epoch, 2);
  assert.equal(ledger.ownership("g")?.owner, null);
  ledger.claim({ ...record, epoch: 2, owner: "a" });
  assert.equal(ledger.ownership("g")?.owner, "a");
  ledger.close();
});

Deno.test("an event and its ownership record are written together or not at all", () => {
  const ledger = openLedger(":memory:", clock);
  const ownership = {
    guestId: "g",
    epoch: 3,
    owner: "b",
    migrationId: "x",
    decidedBy: "handover",
    reason: "",
  };
  assert.throws(
    () => ledger.append("no such migration", { kind: "owned" }, ownership),
    (error) => error instanceof GatewayError && error.code === "ledger_write_failed",
  );
  assert.equal(ledger.ownership("g"), null);
  ledger.close();
});

Deno.test("what was appended before a crash is there when the ledger opens again", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/ledger.sqlite`;
    const first = openLedger(path, clock);
    first.putGuest({ id: "g", definition: { kind: "reference" }, role: "source" });
    first.createMigration(migration("m"), { kind: "created" });
    // No close: the process is gone as far as the file is concerned.
    const second = openLedger(path, clock);
    assert.equal(second.events("m").length, 1);
    assert.equal(second.guests()[0].id, "g");
    first.close();
    second.close();
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a ledger of a newer gateway and a ledger that is no database are refused by name", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const newer = `${directory}/newer.sqlite`;
    const database = openDatabase(newer);
    database.exec("PRAGMA user_version = 99");
    database.close();
    const garbage = `${directory}/garbage.sqlite`;
    Deno.writeTextFileSync(
      garbage,
      "this is not a database, and long enough to be read as one".repeat(40),
    );
    for (const path of [newer, garbage, `${directory}/none/ledger.sqlite`]) {
      assert.throws(
        () => openLedger(path, clock),
        (error) =>
          error instanceof GatewayError && error.code === "ledger_unusable" &&
          error.message.includes(path),
      );
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a ledger whose rows are damaged is told by name, whatever is read of it", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/ledger.sqlite`;
  try {
    const ledger = openLedger(path, clock);
    const move = { id: "m", guestId: "web", side: "source" as const, peer: "east", options: {} };
    ledger.createMigration(move, { kind: "created" });
    ledger.putReport("m", {});
    ledger.audit("x", {});
    ledger.putGuest({ id: "web", definition: {}, role: "source" });
    const database = new DatabaseSync(path);
    for (const [table, column] of [["migration", "options"], ["guest", "definition"]]) {
      database.exec(`UPDATE ${table} SET ${column} = '{'`);
    }
    for (const table of ["migration_event", "migration_report", "audit"]) {
      database.exec(`UPDATE ${table} SET body = '['`);
    }
    database.close();
    const reads = [
      () => ledger.migrations(),
      () => ledger.rollbacksOf("m"),
      () => ledger.events("m"),
      () => ledger.report("m"),
      () => ledger.auditEntries({ limit: 1 }),
      () => ledger.guests(),
    ];
    for (const read of reads) {
      assert.throws(read, { code: "ledger_unusable", message: /ledger\.sqlite/ });
    }
    ledger.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("moves back are found by the move that they undo, oldest first", () => {
  const ledger = openLedger(":memory:", clock);
  const back = (id: string, rollbackOf: string | null) =>
    ledger.createMigration({ ...migration(id), options: { rollbackOf } }, { kind: "created" });
  ledger.createMigration(migration("m"), { kind: "created" });
  back("n", null);
  back("x", "m");
  back("y", "m");
  back("z", "x");
  assert.deepEqual(ledger.rollbacksOf("m").map(({ id }) => id), ["x", "y"]);
  assert.deepEqual(ledger.rollbacksOf("x").map(({ id }) => id), ["z"]);
  assert.deepEqual(ledger.rollbacksOf("n"), []);
  ledger.close();
});
