import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { digestBuffer, DigestIndex } from "./digest_index.ts";
import { digestPage } from "./page_digest.ts";
import { DIGEST_ONLY, EVICTED_AT_ONCE, HELD, PageImage, UNKNOWN, ZERO } from "./page_image.ts";
import { memorySpill } from "./testing/memory_spill.ts";

const PAGE = 512;
const PAGES = 400;

/** One of few contents, so that duplicates are common. */
function content(seed: number): Buffer {
  return Buffer.alloc(PAGE, `content ${seed};`);
}

function digestOf(bytes: Buffer): Uint32Array {
  const digest = digestBuffer();
  digestPage(bytes, digest);
  return digest;
}

type Step =
  | { kind: "set"; page: number; seed: number; withDigest: boolean }
  | { kind: "zero" | "forget"; page: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("set" as const),
      page: fc.nat(PAGES - 1),
      seed: fc.nat(30),
      withDigest: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constantFrom("zero" as const, "forget" as const), page: fc.nat(PAGES - 1) }),
);

/** Runs the steps against an image and the plain truth about it. */
function run(image: PageImage, steps: readonly Step[]): Map<number, Buffer | "zero"> {
  const truth = new Map<number, Buffer | "zero">();
  const index = new DigestIndex(image);
  for (const step of steps) {
    if (step.kind === "set") {
      const bytes = content(step.seed);
      image.set(step.page, bytes, step.withDigest ? digestOf(bytes) : null);
      if (step.withDigest) index.add(step.page);
      truth.set(step.page, bytes);
    } else if (step.kind === "zero") {
      image.setZero(step.page);
      truth.set(step.page, "zero");
    } else {
      image.forget(step.page);
      truth.delete(step.page);
    }
    const found = index.find(digestOf(content(3)));
    if (found >= 0) assert.deepEqual(truth.get(found), content(3));
  }
  return truth;
}

const manySteps = fc.array(anyStep, { minLength: 300, maxLength: 900, size: "max" });

Deno.test("with a spill every page comes back as it was set last", () => {
  fc.assert(
    fc.property(manySteps, (steps) => {
      const image = new PageImage(PAGE, 0, memorySpill(PAGE));
      const truth = run(image, steps);
      const into = Buffer.alloc(PAGE);
      for (let page = 0; page < PAGES; page++) {
        const expected = truth.get(page);
        assert.equal(image.read(page, into), expected !== undefined, `page ${page}`);
        if (expected === "zero") assert.deepEqual(into, Buffer.alloc(PAGE));
        else if (expected) assert.deepEqual(into, expected);
        if (expected === undefined) assert.equal(image.stateOf(page), UNKNOWN);
        if (expected && expected !== "zero" && image.hasDigest(page)) {
          assert.ok(image.hasThisDigest(page, digestOf(expected)));
        }
      }
    }),
    { numRuns: 20, endOnFailure: true },
  );
});

Deno.test("without a spill the pages within reach are held, and all others have their digest", () => {
  fc.assert(
    fc.property(manySteps, (steps) => {
      const image = new PageImage(PAGE, 0, null);
      const truth = run(image, steps);
      const lastWrite = new Map<number, number>();
      let writes = 0;
      for (const step of steps) if (step.kind === "set") lastWrite.set(step.page, ++writes);
      for (const [page, expected] of truth) {
        const state = image.stateOf(page);
        if (expected === "zero") assert.equal(state, ZERO);
        else if (writes - lastWrite.get(page)! < image.reachPages) assert.equal(state, HELD);
        if (state === DIGEST_ONLY) {
          assert.ok(image.hasThisDigest(page, digestOf(expected as Buffer)));
          assert.equal(image.read(page, Buffer.alloc(PAGE)), false);
        }
      }
      assert.ok(image.heldPages <= 2 * EVICTED_AT_ONCE);
    }),
    { numRuns: 20, endOnFailure: true },
  );
});

Deno.test("a held page is compared wherever the other one lies", () => {
  const pages = 3000;
  const image = new PageImage(PAGE, pages * PAGE, null);
  const bytes = new Uint8Array(2 * pages * PAGE);
  for (let page = 0; page < pages; page++) {
    image.set(page, content(page));
    bytes.set(content(page), 2 * page * PAGE);
  }
  for (let page = 0; page < pages; page++) {
    const same = bytes.subarray(2 * page * PAGE, (2 * page + 1) * PAGE);
    assert.equal(image.equalsHeld(page, same), true);
    same[PAGE - 1] ^= 1;
    assert.equal(image.equalsHeld(page, same), false);
    assert.equal(image.heldWords(page)[image.heldAt(page)], content(page).readUInt32LE(0));
  }
});

Deno.test("the index finds each of many contents, also after their pages were rewritten", () => {
  const image = new PageImage(PAGE, 64 * PAGE, memorySpill(PAGE));
  const index = new DigestIndex(image);
  for (let round = 0; round < 4; round++) {
    for (let page = 0; page < 3000; page++) {
      const bytes = content(round * 10_000 + page);
      image.set(page, bytes, digestOf(bytes));
      index.add(page);
    }
  }
  for (let page = 0; page < 3000; page++) {
    assert.equal(index.find(digestOf(content(30_000 + page))), page);
    assert.equal(index.find(digestOf(content(page))), -1);
  }
  assert.ok(index.allocatedBytes <= 16 * 4096, `${index.allocatedBytes}`);
});

Deno.test("closing gives the spill back, once", () => {
  let closed = 0;
  const spill = { ...memorySpill(PAGE), close: () => void closed++ };
  const image = new PageImage(PAGE, 0, spill);
  image.close();
  image.close();
  assert.equal(closed, 1);
});

Deno.test("a range of zeros does what one zero after the other does, and takes no memory", () => {
  const chunk = 16_384;
  const anyImage = () => new PageImage(PAGE, 0, memorySpill(PAGE));
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          page: fc.integer({ min: 0, max: 3 * chunk - 1 }),
          count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 * chunk })),
          isZero: fc.boolean(),
        }),
        { maxLength: 20 },
      ),
      (steps) => {
        const [ranges, singles] = [anyImage(), anyImage()];
        for (const { page, count, isZero } of steps) {
          const length = isZero ? Math.min(count, 3 * chunk - page) : 1;
          if (isZero) {
            ranges.setZeros(page, length);
            for (let i = 0; i < length; i++) singles.setZero(page + i);
          } else for (const image of [ranges, singles]) image.set(page, content(page));
          assert.equal(ranges.heldPages, singles.heldPages);
        }
        for (let page = 0; page < 3 * chunk; page += 61) {
          assert.equal(ranges.stateOf(page), singles.stateOf(page));
        }
      },
    ),
    { numRuns: 30 },
  );
  const image = anyImage();
  const before = Deno.memoryUsage().external;
  image.setZeros(0, 2 ** 28);
  assert.ok(Deno.memoryUsage().external - before < 2 ** 20);
  assert.equal(image.stateOf(2 ** 28 - 1), image.stateOf(0));
});
