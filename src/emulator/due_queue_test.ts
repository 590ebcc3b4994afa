import assert from "node:assert/strict";
import fc from "fast-check";
import { DueQueue } from "./due_queue.ts";

Deno.test("DueQueue gives items by due time, and in the order they came among equals", () => {
  const operation = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant("pop" as const));
  fc.assert(fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
    const queue = new DueQueue<{ dueMs: number; index: number }>();
    const model: { dueMs: number; index: number }[] = [];
    for (const [index, what] of operations.entries()) {
      if (what === "pop") {
        assert.equal(queue.length, model.length);
        assert.equal(queue.nextDueMs, model[0]?.dueMs ?? Infinity);
        if (model.length > 0) assert.deepEqual(queue.pop(), model.shift());
      } else {
        queue.push(what, { dueMs: what, index });
        model.push({ dueMs: what, index });
        model.sort((a, b) => a.dueMs - b.dueMs || a.index - b.index);
      }
    }
  }));
});

Deno.test("DueQueue: taking from an empty queue is a RangeError", () => {
  assert.throws(() => new DueQueue().pop(), RangeError);
});
