import assert from "node:assert/strict";
import type { MigrationReport, MigrationState } from "../migration/report.ts";
import { noWayBack } from "./rollback.ts";

const reasonIn = (state: MigrationState) => {
  const { code, message, hint } = noWayBack(
    { id: "m1", guest: "vm", from: "west", to: "east", state } as MigrationReport,
  );
  assert.equal(code, "rollback_not_possible");
  assert.match(message, /^Cannot roll m1 back: ./);
  assert.notEqual(hint, "");
  return message;
};

Deno.test("noWayBack() says why, for every state in which a move cannot be undone", () => {
  assert.match(reasonIn("completed"), /has run at east/);
  assert.match(reasonIn("cancelled"), /lives at west already/);
  assert.match(reasonIn("seeded"), /lives at west already/);
  assert.match(reasonIn("failed"), /lives at west already/);
  assert.match(reasonIn("rolledBack"), /lives at west already/);
  assert.match(reasonIn("switching"), /east may run it/);
  assert.match(reasonIn("inDoubt"), /east may run it/);
  assert.match(reasonIn("conflict"), /west and east disagree/);
});
