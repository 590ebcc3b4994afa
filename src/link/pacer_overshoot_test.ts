import assert from "node:assert/strict";
import { Overshoot } from "./pacer_overshoot.ts";

Deno.test("for some turns after a start's end a rate beside a queue and loss is not believed", () => {
  const overshoot = new Overshoot();
  assert.ok(!overshoot.hides(true, 0.1, 0));
  overshoot.begin(100, 1_000);
  assert.ok(overshoot.hides(true, 0.1, 1_399));
  assert.ok(!overshoot.hides(false, 0.1, 1_399));
  assert.ok(!overshoot.hides(true, 0, 1_399));
  assert.ok(!overshoot.hides(true, 0.1, 1_400));
});
