import assert from "node:assert/strict";
import { canHoldSwitchover, runStateOf } from "./describe.ts";

Deno.test("QEMU can be held at the switchover from 8.1 on", () => {
  const versions = ["7.2.22", "8.0.5", "8.1.0", "9.0.0", "10.0.2"];
  assert.deepEqual(versions.map(canHoldSwitchover), [false, false, true, true, true]);
});

Deno.test("a machine that powered itself off is gone even where QEMU stays", () => {
  assert.equal(runStateOf("shutdown"), "gone");
  assert.equal(runStateOf("inmigrate"), "incoming");
  assert.equal(runStateOf("io-error"), "paused");
});
