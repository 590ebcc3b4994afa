import assert from "node:assert/strict";
import { ContentEstimate } from "./content_estimate.ts";

const PAGE_BYTES = 4096;

/** Pages of incompressible bytes by a xorshift generator. */
function randomPages(count: number, seed: number): Uint8Array {
  const words = new Uint32Array(count * PAGE_BYTES / 4);
  let state = seed | 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer);
}

Deno.test("nothing that was looked at is nothing that is known", () => {
  const { zeroShare, wireRatio, rewriteRatio } = new ContentEstimate();
  assert.deepEqual([zeroShare, wireRatio, rewriteRatio], [null, null, null]);
});

Deno.test("zero pages are told apart, and the ratio is that of the others", () => {
  const estimate = new ContentEstimate();
  estimate.add(new Uint8Array(30 * PAGE_BYTES));
  estimate.add(randomPages(10, 1));
  assert.equal(estimate.zeroShare, 0.75);
  assert.ok(estimate.wireRatio! > 0.99 && estimate.wireRatio! <= 1, String(estimate.wireRatio));
  const text = new ContentEstimate();
  text.add(new TextEncoder().encode("memory of a machine ".repeat(8192)).subarray(0, 32 * 4096));
  assert.equal(text.zeroShare, 0);
  assert.ok(text.wireRatio! < 0.05, String(text.wireRatio));
});

Deno.test("pages that changed in a few words take a few bytes, those written anew all of them", () => {
  const before = randomPages(64, 3);
  const touched = before.slice();
  for (let page = 0; page < 64; page++) {
    touched.set(randomPages(1, page).subarray(0, 8), page * 4096 + 400);
  }
  const few = new ContentEstimate();
  few.compare(before, touched);
  assert.ok(few.rewriteRatio! < 0.01, String(few.rewriteRatio));
  const whole = new ContentEstimate();
  whole.compare(before, randomPages(64, 4));
  assert.ok(whole.rewriteRatio! > 0.99 && whole.rewriteRatio! <= 1, String(whole.rewriteRatio));
  const cleared = new ContentEstimate();
  cleared.compare(before, new Uint8Array(before.length));
  assert.equal(cleared.rewriteRatio, 0);
});

Deno.test("of too few changed pages no ratio is made, and pages that stayed do not count", () => {
  const before = randomPages(64, 5);
  const after = before.slice();
  after.fill(1, 0, 15 * PAGE_BYTES);
  const estimate = new ContentEstimate();
  estimate.compare(before, after);
  assert.equal(estimate.rewriteRatio, null);
  after.fill(1, 0, 16 * PAGE_BYTES);
  const enough = new ContentEstimate();
  enough.compare(before, after);
  assert.ok(enough.rewriteRatio! < 0.1);
});
