import assert from "node:assert/strict";
import fc from "fast-check";
import { Bitmap } from "./bitmap.ts";

Deno.test("a bitmap behaves as a set of numbers at any length", () => {
  const step = fc.record({ add: fc.boolean(), at: fc.nat() }, { noNullPrototype: true });
  fc.assert(fc.property(fc.integer({ min: 1, max: 100 }), fc.array(step), (length, steps) => {
    const bitmap = new Bitmap(length);
    const model = new Set<number>();
    for (const { add, at } of steps) {
      const index = at % length;
      if (add) {
        assert.equal(bitmap.add(index), !model.has(index));
        model.add(index);
      } else {
        bitmap.delete(index);
        model.delete(index);
      }
    }
    assert.deepEqual(members(bitmap), [...model].sort((a, b) => a - b));
    assert.equal(bitmap.count, model.size);
  }));
});

Deno.test("addAll() sets each bit of the length and none beyond it", () => {
  for (const length of [1, 31, 32, 33, 64, 100]) {
    const bitmap = new Bitmap(length);
    bitmap.addAll();
    assert.deepEqual(members(bitmap), Array.from({ length }, (_, index) => index));
    bitmap.clear();
    assert.equal(bitmap.next(0), -1);
    assert.equal(bitmap.count, 0);
  }
});

Deno.test("addFrom() joins two bitmaps", () => {
  const [left, right] = [new Bitmap(70), new Bitmap(70)];
  for (const index of [0, 31, 32]) left.add(index);
  for (const index of [31, 69]) right.add(index);
  left.addFrom(right);
  assert.deepEqual(members(left), [0, 31, 32, 69]);
  assert.equal(left.count, 4);
});

function members(bitmap: Bitmap): number[] {
  const found: number[] = [];
  for (let index = bitmap.next(0); index >= 0; index = bitmap.next(index + 1)) found.push(index);
  return found;
}
