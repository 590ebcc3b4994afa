import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../../core/clock.ts";
import { keptReport } from "../../../gateway/kept_reports.ts";
import { optionsOf, readPast, reportOfPast } from "../../../gateway/past.ts";
import { sampleReport } from "../../../http/testing/fake_service.ts";
import { type Ledger, openLedger } from "../../../ledger/ledger.ts";
import { migrationOptions } from "../../../migration/options.ts";
import { migrationReport } from "../../../http/schemas/migration.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import { mutateJson } from "../json_mutator.ts";
import { joinParts, splitParts } from "../parts.ts";
import { fastDirectory } from "../fast_directory.ts";
import type { FuzzTarget } from "../target.ts";

const clock: Clock = { nowMs: () => 1, wallMs: () => 1, sleep: () => new Promise(() => {}) };
const error = { code: "guest_gone", message: "x", hint: "y" };

/** Columns that hold what a gateway wrote, by their tables; every row is changed alike. */
type Change = readonly [table: string, column: string, row: number, value: unknown];
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  guest: ["id", "definition", "role"],
  ownership: ["epoch", "owner", "migration_id"],
  migration: ["id", "guest_id", "side", "peer", "options", "created_at"],
  migration_event: ["migration_id", "at", "kind", "body"],
  migration_report: ["body"],
  audit: ["body"],
};

/** A ledger with something in each of its tables. */
function fill(ledger: Ledger): void {
  const options = { ...migrationOptions.parse({}) };
  ledger.putGuest({ id: "web", definition: { kind: "reference", memoryMiB: 1 }, role: "source" });
  const claim = { guestId: "web", migrationId: null, decidedBy: "registration", reason: "x" };
  ledger.claim({ ...claim, epoch: 1, owner: "west" });
  const move = { guestId: "web", peer: "east", options };
  const created = { kind: "created", epoch: 1, site: "west", from: "east" };
  ledger.createMigration({ ...move, id: "m-1", side: "source" }, created);
  for (
    const event of [
      { kind: "began" },
      { kind: "noted", notes: { wasRunning: true } },
      { kind: "switchBegan" },
      { kind: "paused", atWallMs: 5 },
      {
        kind: "handoverWritten",
        epoch: 2,
        lastSequences: { memory: 1, disk: 2 },
        run: true,
        pausedAtWallMs: 5,
      },
      { kind: "adjudicated", owner: "source", epoch: 4, by: "Ada", reason: "x" },
    ]
  ) ledger.append("m-1", event);
  ledger.putReport("m-1", sampleReport());
  ledger.createMigration({ ...move, id: "m-2", side: "destination" }, created);
  for (
    const event of [{ kind: "prepared", images: ["/disk"] }, { kind: "refused", epoch: 2, error }, {
      kind: "abandoned",
      error,
    }]
  ) ledger.append("m-2", event);
  ledger.audit("x", { a: 1 });
}

/** Reads everything that a gateway reads of its ledger. */
function readAll(path: string): string {
  const ledger = openLedger(path, clock);
  try {
    const guests = ledger.guests();
    for (const { id } of guests) {
      ledger.ownership(id);
      ledger.ownershipHistory(id);
    }
    const kinds: string[] = [];
    for (const { id, options } of ledger.migrations()) {
      const kept = keptReport(ledger, id, () => ({ ...optionsOf({ id, options }) }));
      const past = readPast(ledger, id, "west");
      if (past === null) continue;
      const report = reportOfPast(past, "west", clock, kept);
      const parsed = migrationReport.safeParse(JSON.parse(JSON.stringify(report)));
      assert.ok(parsed.success, `the API's report: ${parsed.error?.issues[0].path.join(".")}`);
      kinds.push(report.state);
    }
    ledger.auditEntries({ limit: 100 });
    return `${guests.length} ${kinds.sort().join(" ")}`;
  } finally {
    ledger.close();
  }
}

/** Rows of a ledger that say something else than a gateway wrote. */
export async function ledgerRows(): Promise<FuzzTarget> {
  const { directory, template, path } = await madeLedger();
  const encoder = new TextEncoder();
  const values = valuesOf(path);
  return {
    name: "ledger-rows",
    reads: "rows of the ledger (src/ledger), replayed as a restarting gateway does (src/gateway)",
    codes: ["ledger_unusable"],
    // A history that cannot have been: the gateway stops there.
    alsoThrows: ["InvariantError"],
    form: "text",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 250,
    generate: (dice) => {
      const table = dice.pick(Object.keys(COLUMNS));
      const column = dice.pick(COLUMNS[table]);
      const row = dice.between(1, 11);
      const value = values.get(`${table} ${column} ${row}`) ?? null;
      return encoder.encode(JSON.stringify([[table, column, row, value]] satisfies Change[]));
    },
    mutate(input, dice, others) {
      let changes: unknown;
      try {
        changes = JSON.parse(new TextDecoder().decode(input));
      } catch {
        return mutateBytes(input, dice, others);
      }
      const [change] = Array.isArray(changes) ? changes : [];
      // Values that are JSON themselves are changed as such.
      const isJson = Array.isArray(change) && /^[[{]/.test(String(change[3]));
      if (!isJson || dice.chance(0.2)) return mutateJson(input, dice, others);
      const inside = mutateJson(encoder.encode(change[3]), dice, []);
      const value = new TextDecoder().decode(inside);
      return encoder.encode(JSON.stringify([[change[0], change[1], change[2], value]]));
    },
    run(input) {
      Deno.writeFileSync(path, template);
      applyChanges(path, input);
      return readAll(path);
    },
    close: () => Deno.remove(directory, { recursive: true }),
  };
}

function applyChanges(path: string, input: Uint8Array): void {
  let changes: unknown;
  try {
    changes = JSON.parse(new TextDecoder().decode(input));
  } catch {
    return;
  }
  const database = new DatabaseSync(path);
  database.exec("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF");
  for (const change of Array.isArray(changes) ? changes.slice(0, 8) : []) {
    if (!Array.isArray(change)) continue;
    const [table, column, row, value] = change.map((each) =>
      typeof each === "string" ? each : json(each)
    );
    if (!Object.hasOwn(COLUMNS, table) || !COLUMNS[table].includes(column)) continue;
    try {
      database.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`).run(value, Number(row));
    } catch {
      // The schema refuses the value: nobody can have written it.
    }
  }
  database.close();
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? "";
}

function valuesOf(path: string): Map<string, string> {
  const database = new DatabaseSync(path);
  const values = new Map<string, string>();
  for (const [table, columns] of Object.entries(COLUMNS)) {
    for (const row of database.prepare(`SELECT rowid AS row, * FROM ${table}`).all()) {
      for (const column of columns) {
        values.set(`${table} ${column} ${row.row}`, String(row[column]));
      }
    }
  }
  database.close();
  return values;
}

/** The ledger's file, damaged by whatever damages files. */
export async function ledgerFile(): Promise<FuzzTarget> {
  const { directory, template, path } = await madeLedger();
  return {
    name: "ledger-file",
    reads: "the ledger's file, damaged (src/ledger)",
    codes: ["ledger_unusable"],
    alsoThrows: ["InvariantError"],
    form: "bytes",
    bufferBytesMax: 64 * 2 ** 20,
    testExecutions: 150,
    // Patches: u24 place, then the bytes that stand there; an empty one cuts the file.
    generate: (dice) =>
      joinParts(
        Array.from({ length: dice.between(1, 4) }, () => {
          const at = dice.chance(0.3) ? dice.below(100) : dice.below(template.length);
          return Uint8Array.of(at >>> 16, at >>> 8, at, ...dice.bytes(dice.size(60)));
        }),
      ),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      let bytes = template.slice();
      for (const patch of splitParts(input, 16)) {
        const at = (patch[0] << 16 | patch[1] << 8 | patch[2]) % template.length || 0;
        if (patch.length <= 3) bytes = bytes.slice(0, at);
        else {bytes.set(
            patch.subarray(3).subarray(0, Math.max(0, bytes.length - at)),
            Math.min(at, bytes.length),
          );}
      }
      for (const left of [`${path}-wal`, `${path}-shm`]) {
        try {
          Deno.removeSync(left);
        } catch {
          // There is none.
        }
      }
      Deno.writeFileSync(path, bytes);
      return readAll(path);
    },
    close: () => Deno.remove(directory, { recursive: true }),
  };
}

async function madeLedger() {
  const directory = await fastDirectory();
  const path = `${directory}/ledger.sqlite`;
  const ledger = openLedger(path, clock);
  fill(ledger);
  ledger.close();
  // Without a write-ahead log beside it the file is all there is.
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = DELETE");
  database.close();
  return { directory, path, template: await Deno.readFile(path) };
}
