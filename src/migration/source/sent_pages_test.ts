import assert from "node:assert/strict";
import { SentPages } from "./sent_pages.ts";

Deno.test("a repair concerns the frame it was asked for and all behind it, and nothing before", () => {
  const sent = new SentPages();
  for (let sequence = 1; sequence <= 6; sequence++) {
    sent.note(sequence, [sequence, 1], sequence - 4);
  }
  assert.equal(sent.repairIsDue, false);
  sent.askRepair(4);
  assert.equal(sent.repairIsDue, true);
  // From the question on the peer applies everything, but as void.
  sent.note(7, [7, 1], 6);
  assert.deepEqual(sent.takeMissing(), [[4, 1], [5, 1], [6, 1], [7, 1]]);
  assert.equal(sent.repairIsDue, false);
  assert.deepEqual(sent.takeMissing(), []);
});

Deno.test("frames that the peer has applied are forgotten", () => {
  const sent = new SentPages();
  for (let sequence = 1; sequence <= 1000; sequence++) {
    sent.note(sequence, [sequence, 1], sequence - 3);
  }
  sent.askRepair(1);
  assert.deepEqual(sent.takeMissing(), [[998, 1], [999, 1], [1000, 1]]);
});
