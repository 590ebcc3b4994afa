import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_READ_REGIONS } from "./constants.ts";
import { Regions } from "./regions.ts";

Deno.test("regions accept bytes once, in any order, and count them", () => {
  const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 }));
  fc.assert(fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
    const regions = new Regions();
    const covered = new Set<number>();
    for (const [start, lengthBytes] of ranges) {
      const cells = Array.from({ length: lengthBytes }, (_, index) => start + index);
      if (cells.some((cell) => covered.has(cell))) {
        assert.throws(() => regions.add(start, start + lengthBytes), { code: "nbd_protocol" });
      } else {
        regions.add(start, start + lengthBytes);
        cells.forEach((cell) => covered.add(cell));
      }
      assert.equal(regions.coveredBytes, covered.size);
    }
  }));
});

Deno.test("a read that is scattered without end is refused, one in order is not", () => {
  const inOrder = new Regions();
  for (let at = 0; at < 10 * MAX_READ_REGIONS; at++) inOrder.add(at, at + 1);
  const scattered = new Regions();
  assert.throws(() => {
    for (let at = 0; at <= MAX_READ_REGIONS; at++) scattered.add(2 * at, 2 * at + 1);
  }, { code: "nbd_protocol" });
});
