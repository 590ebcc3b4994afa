import assert from "node:assert/strict";
import { Overflow } from "./pacer_overflow.ts";

Deno.test("Overflow is loss beyond what is lost at random, for as long as it is seen", () => {
  const overflow = new Overflow();
  for (let step = 0; step < 40; step++) overflow.take(step % 4 === 0 ? 0.2 : 0, 100 * step);
  assert.equal(overflow.isSeen, false);
  for (let step = 0; step < 10; step++) overflow.take(0.3, 4_000 + 100 * step);
  assert.equal(overflow.isSeen, true);
  overflow.take(0, 5_100);
  assert.equal(overflow.isSeen, false);
});
