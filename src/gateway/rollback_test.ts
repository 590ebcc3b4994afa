import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport, MigrationState } from "../migration/report.ts";
import { noWayBack, requireStillThere, whyNotBack, withRollback } from "./rollback.ts";

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
  assert.match(reasonIn("cancelled"), /lives at west already/);
  assert.match(reasonIn("seeded"), /lives at west already/);
  assert.match(reasonIn("failed"), /lives at west already/);
  assert.match(reasonIn("rolledBack"), /lives at west already/);
  assert.match(reasonIn("switching"), /east may run it/);
  assert.match(reasonIn("inDoubt"), /east may run it/);
  assert.match(reasonIn("conflict"), /west and east disagree/);
});

const move = { id: "m1", guest: "vm", to: "east", epoch: 2 };
const records = (...owners: (string | null)[]) =>
  owners.map((owner, index) => ({ epoch: index + 1, owner }));

Deno.test("a move is undone while the machine is where it took it, whatever was refused since", () => {
  requireStillThere(move, records("west", "east"));
  requireStillThere(move, records("west", "east", null, "east"));
});

Deno.test("a move is not undone when the machine has been elsewhere since, or nothing is recorded", () => {
  const elsewhere = [
    records("west", "east", "north"),
    records("west", "east", "west", "east"),
    records("west"),
  ];
  for (const history of elsewhere) {
    assert.throws(() => requireStillThere(move, history), { code: "rollback_not_possible" });
  }
});

Deno.test("what only a change of the sites can heal is told as no way back, with its reason", () => {
  const hint = "Register it";
  const closed = whyNotBack(
    "m1",
    new GatewayError("destination_not_registered", "no vm", { hint }),
  );
  assert.deepEqual(closed.toJSON(), {
    code: "rollback_not_possible",
    message: "Cannot roll m1 back: no vm",
    hint,
  });
  const passing = new GatewayError("peer_unreachable", "Cannot reach west", { hint });
  assert.equal(whyNotBack("m1", passing), passing);
});

Deno.test("a completed move shows the move back that goes on, how it failed, or that it is home", () => {
  const there = sampleReport({ state: "completed", owner: "east", epoch: 2, leftovers: ["/disk"] });
  const back = (state: MigrationState, changes: Partial<MigrationReport> = {}) =>
    withRollback(there, sampleReport({ id: "m2", state, owner: "east", epoch: 2, ...changes }));
  assert.equal(withRollback(there, null), there);
  assert.equal(back("copying").state, "copying");
  assert.match(back("copying").phase, /moving back to .* as m2/);
  assert.equal(back("inDoubt").state, "inDoubt");
  const error = { code: "disk_full", message: "m", hint: "h" };
  const failed = back("failed", { error });
  assert.deepEqual(
    { state: failed.state, owner: failed.owner, rollback: failed.rollback },
    {
      state: "completed",
      owner: "east",
      rollback: { migration: "m2", state: "failed", error },
    },
  );
  const home = back("completed", { epoch: 3 });
  assert.deepEqual(
    [home.state, home.owner, home.epoch, home.machine.site, home.leftovers],
    ["rolledBack", there.from, 3, there.from, []],
  );
});
