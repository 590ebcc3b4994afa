import assert from "node:assert/strict";
import fc from "fast-check";
import { FreeRing } from "./free_ring.ts";

const anyRing = fc.record({
  pageCount: fc.integer({ min: 8, max: 600 }),
  freeMiB: fc.double({ min: 0.01, max: 4, noNaN: true }),
})
  .map(({ pageCount, freeMiB }) => ({ pageCount, ring: new FreeRing(pageCount, freeMiB) }))
  .filter(({ ring }) => ring.freeCount > 0);

function freePages(ring: FreeRing, pageCount: number, cursor: number): Set<number> {
  const pages = Array.from({ length: pageCount }, (_, page) => page);
  return new Set(pages.filter((page) => ring.isFree(page, cursor)));
}

Deno.test("as many pages are free as the ring says, after any number of turns", () => {
  fc.assert(fc.property(anyRing, fc.nat(2000), ({ pageCount, ring }, turns) => {
    assert.ok(ring.firstPage > 0, "some memory is never free");
    assert.equal(ring.firstPage + ring.length, pageCount);
    assert.equal(freePages(ring, pageCount, turns % ring.length).size, ring.freeCount);
  }));
});

Deno.test("a turn takes one free page into use and frees one that was not", () => {
  fc.assert(fc.property(anyRing, fc.nat(2000), ({ pageCount, ring }, turns) => {
    const cursor = turns % ring.length;
    const [before, after] = [cursor, ring.advanced(cursor)].map((at) =>
      freePages(ring, pageCount, at)
    );
    assert.deepEqual([...before.difference(after)], [ring.nextUsed(cursor)]);
    assert.equal(after.difference(before).size, 1);
  }));
});

Deno.test("a workload that frees nothing has no page in the ring", () => {
  const ring = new FreeRing(1024, 0);
  assert.deepEqual([ring.length, ring.firstPage], [0, 1024]);
  assert.equal(freePages(ring, 1024, 0).size, 0);
});

Deno.test("more than three quarters of the memory is never free", () => {
  assert.equal(new FreeRing(1024, 1000).freeCount, 768);
});
