import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { ByteSink, ByteSource } from "./bytes.ts";
import { applyDelta, createDelta, encodeDelta, putDelta } from "./delta.ts";

const WORDS = 128;
const BEFORE = 3;

const isBatchInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

const anyPage = fc.uint32Array({ minLength: WORDS, maxLength: WORDS });
/** A page and a later version of it. */
const anyEdit = fc.tuple(
  anyPage,
  fc.array(
    fc.tuple(fc.nat(WORDS - 1), fc.oneof(fc.constant(0), fc.nat()), fc.integer({ min: 1, max: 9 })),
  ),
).map(([old, edits]) => {
  const page = old.slice();
  for (const [at, value, count] of edits) page.fill(value, at, at + count);
  return { old, page };
});

function encode(old: Uint32Array, page: Uint32Array, bytesMax = Infinity) {
  const delta = createDelta(WORDS);
  const sizeBytes = encodeDelta(old, 0, page, 0, WORDS, bytesMax, delta);
  const runs = new ByteSink();
  const words = new ByteSink();
  if (sizeBytes >= 0) putDelta(delta, runs, words);
  return { sizeBytes, runs: runs.view(), words: new Uint32Array(words.view().slice().buffer) };
}

/** Applies to a page in the middle of more memory, which must stay as it was. */
function apply(old: Uint32Array, runs: Uint8Array, words: Uint32Array): Uint32Array {
  const memory = new Uint32Array(BEFORE + WORDS + 5).fill(0xa5a5a5a5);
  memory.set(old, BEFORE);
  const source = new ByteSource(runs);
  try {
    assert.equal(applyDelta(memory, BEFORE, WORDS, source, words, 0), words.length);
    source.end();
  } finally {
    const outside = [...memory.subarray(0, BEFORE), ...memory.subarray(BEFORE + WORDS)];
    assert.ok(outside.every((word) => word === 0xa5a5a5a5), "it wrote outside of its page");
  }
  return memory.slice(BEFORE, BEFORE + WORDS);
}

Deno.test("a delta turns the old page into the new one", () => {
  fc.assert(fc.property(fc.oneof(anyEdit, fc.record({ old: anyPage, page: anyPage })), (pair) => {
    const { runs, words } = encode(pair.old, pair.page);
    assert.deepEqual(apply(pair.old, runs, words), pair.page);
  }));
});

Deno.test("a delta takes as many bytes as it says, to within two", () => {
  fc.assert(fc.property(anyEdit, ({ old, page }) => {
    const { sizeBytes, runs, words } = encode(old, page);
    const realBytes = runs.byteLength + words.byteLength;
    assert.ok(realBytes - sizeBytes <= 2 && sizeBytes <= realBytes, `${sizeBytes} ${realBytes}`);
  }));
});

Deno.test("equal pages take nothing", () => {
  const page = Uint32Array.from({ length: WORDS }, (_, i) => i);
  assert.equal(encode(page, page.slice()).sizeBytes, 0);
});

Deno.test("a change of a few words takes a few words", () => {
  const page = Uint32Array.from({ length: WORDS }, (_, i) => i);
  const next = page.slice();
  next[7]++, next[8]++, next[100]++;
  assert.equal(encode(page, next).sizeBytes, 3 * 4 + 2 * 2);
});

Deno.test("one above the limit is given up, at any limit", () => {
  fc.assert(fc.property(anyEdit, fc.nat(WORDS * 5), ({ old, page }, bytesMax) => {
    const { sizeBytes } = encode(old, page);
    assert.equal(encode(old, page, bytesMax).sizeBytes, sizeBytes <= bytesMax ? sizeBytes : -1);
  }));
});

Deno.test("a delta cut at any place is refused", () => {
  const old = new Uint32Array(WORDS);
  const page = old.map((_, i) => i % 5 === 0 ? i : 0);
  const { runs, words } = encode(old, page);
  for (let length = 0; length < runs.length; length++) {
    assert.throws(() => apply(old, runs.subarray(0, length), words), isBatchInvalid, `${length}`);
  }
  for (let length = 0; length < words.length; length++) {
    assert.throws(() => apply(old, runs, words.slice(0, length)), isBatchInvalid, `${length}`);
  }
});

Deno.test("hostile runs are refused and never write outside of their page", () => {
  const numbers = fc.array(fc.oneof(fc.nat(WORDS), fc.nat(20), fc.maxSafeNat()), { maxLength: 40 });
  fc.assert(fc.property(numbers, fc.nat(2 * WORDS), (values, wordCount) => {
    const sink = new ByteSink();
    for (const value of values) sink.varint(value);
    try {
      apply(new Uint32Array(WORDS), sink.view(), new Uint32Array(wordCount).fill(1));
    } catch (thrown) {
      // Words or numbers left over are its caller's to refuse.
      if (!isBatchInvalid(thrown) && !(thrown instanceof assert.AssertionError)) throw thrown;
      if (thrown instanceof assert.AssertionError) {
        assert.doesNotMatch(thrown.message, /outside/);
      }
    }
  }));
});
