import assert from "node:assert/strict";
import { requireOwner } from "./ownership.ts";

const record = (owner: string | null) => ({
  guestId: "g",
  epoch: 4,
  owner,
  migrationId: "m",
  decidedBy: "handover",
  reason: "the destination runs the machine",
  decidedAt: "2026-01-01T00:00:00Z",
});

Deno.test("requireOwner() lets a machine pass that is new, or recorded as living here", () => {
  requireOwner(null, "west", "register g");
  requireOwner(record("west"), "west", "register g");
});

Deno.test("requireOwner() refuses a machine that lives at a peer, or was never taken over", () => {
  for (const [owner, named] of [["east", "at east"], [null, "wanted to move it here"]] as const) {
    assert.throws(
      () => requireOwner(record(owner), "west", "register g"),
      (error: { code: string; message: string }) =>
        error.code === "guest_lives_elsewhere" && error.message.includes(named) &&
        error.message.includes("epoch 4"),
    );
  }
});
