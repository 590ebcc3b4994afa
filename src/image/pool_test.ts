import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { PagePool } from "./pool.ts";

const PAGE = 512;

function content(seed: number): Buffer {
  return Buffer.alloc(PAGE, `${seed};`);
}

function put(pool: PagePool, page: number, seed: number): boolean {
  return pool.put(page, content(seed));
}

Deno.test("a newer version takes the place of the older one", () => {
  const pool = new PagePool(PAGE, 4 * PAGE);
  assert.ok(put(pool, 1, 10) && put(pool, 1, 11) && put(pool, 2, 20));
  assert.equal(pool.waitingBytes, 2 * PAGE);
  assert.equal(pool.replacedBytes, PAGE);
  const { pages, contents } = pool.take(9);
  assert.deepEqual(pages, [1, 2]);
  assert.deepEqual(Buffer.from(contents), Buffer.concat([content(11), content(20)]));
  assert.ok(pool.isEmpty);
});

Deno.test("the page written longest ago leaves first", () => {
  const pool = new PagePool(PAGE, 8 * PAGE);
  for (const page of [5, 6, 7, 5, 8, 6]) put(pool, page, page);
  assert.deepEqual([1, 2, 3, 4].map(() => pool.take(1).pages), [[7], [5], [8], [6]]);
});

Deno.test("what leaves together is in the order of its numbers", () => {
  const pool = new PagePool(PAGE, 8 * PAGE);
  for (const page of [9, 3, 7, 1]) put(pool, page, page);
  assert.deepEqual(pool.take(3).pages, [3, 7, 9]);
});

Deno.test("a full pool takes newer versions and no other page", () => {
  const pool = new PagePool(PAGE, 2 * PAGE);
  assert.ok(put(pool, 1, 1) && put(pool, 2, 2));
  assert.equal(put(pool, 3, 3), false);
  assert.equal(put(pool, 2, 22), true);
  assert.deepEqual(pool.take(1).pages, [1]);
  assert.equal(put(pool, 3, 3), true);
});

Deno.test("zeros replace a page that waits, and a page that is written again comes after them", () => {
  const pool = new PagePool(PAGE, 8 * PAGE);
  for (const page of [1, 2, 3]) put(pool, page, page);
  assert.ok(pool.putZeros(2, 1) && pool.putZeros(3, 100));
  assert.equal(pool.waitingBytes, PAGE);
  put(pool, 3, 33);
  const { ranges, pages } = pool.take(9);
  assert.deepEqual(ranges, [2, 101]);
  assert.deepEqual(pages, [1, 3]);
});

Deno.test("ranges that do not touch each other are bounded as well", () => {
  const pool = new PagePool(PAGE, PAGE);
  let page = 0;
  while (pool.putZeros(page, 1)) page += 2;
  assert.equal(page, 2 * 65_536);
  assert.equal(pool.take(0).ranges.length, 2 * 65_536);
  assert.ok(pool.putZeros(0, 1));
});

const anyStep = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), page: fc.nat(30), seed: fc.nat(9999) }),
  fc.record({ kind: fc.constant("zeros" as const), page: fc.nat(30), count: fc.nat(9) }),
  fc.record({ kind: fc.constant("take" as const), count: fc.nat(12) }),
);

Deno.test("whatever order things come in, each page ends as it was put last", () => {
  fc.assert(fc.property(fc.array(anyStep, { maxLength: 200 }), (steps) => {
    const pool = new PagePool(PAGE, 16 * PAGE);
    const wanted = new Map<number, Buffer>();
    const arrived = new Map<number, Buffer>();
    const take = (count: number) => {
      const { ranges, pages, contents } = pool.take(count);
      for (let i = 0; i < ranges.length; i += 2) {
        for (let page = ranges[i]; page < ranges[i] + ranges[i + 1]; page++) {
          arrived.set(page, Buffer.alloc(PAGE));
        }
      }
      pages.forEach((page, i) => {
        arrived.set(page, Buffer.from(contents.slice(i * PAGE, (i + 1) * PAGE)));
      });
    };
    for (const step of steps) {
      if (step.kind === "take") take(step.count);
      else if (step.kind === "put") {
        if (put(pool, step.page, step.seed)) wanted.set(step.page, content(step.seed));
      } else if (step.count > 0 && pool.putZeros(step.page, step.count)) {
        for (let i = 0; i < step.count; i++) wanted.set(step.page + i, Buffer.alloc(PAGE));
      }
      assert.ok(pool.waitingBytes <= 16 * PAGE);
    }
    take(100);
    assert.ok(pool.isEmpty);
    for (const [page, bytes] of wanted) assert.ok(arrived.get(page)?.equals(bytes), `page ${page}`);
  }));
});
