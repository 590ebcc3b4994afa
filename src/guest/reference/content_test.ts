import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import { MEMORY_SPACE, PageContent } from "./content.ts";
import { PAGE_BYTES, PAGE_WORDS } from "./units.ts";

const PAGES = 8192;

Deno.test("initial content has the shares that were asked for", () => {
  for (const [textRatio, randomRatio] of [[0.4, 0.2], [0, 0], [1, 0], [0, 1]]) {
    const content = new PageContent({ seed: 5, textRatio, randomRatio });
    let zero = 0;
    for (let page = 0; page < PAGES; page++) if (content.isZero(MEMORY_SPACE, page, 0)) zero++;
    const expected = 1 - textRatio - randomRatio;
    assert.ok(Math.abs(zero / PAGES - expected) < 0.08, `${zero / PAGES} is not ${expected}`);
  }
});

Deno.test("text compresses about as prose does, random content does not", () => {
  assert.ok(compressionOf({ seed: 5, textRatio: 1, randomRatio: 0 }) > 3);
  assert.ok(compressionOf({ seed: 5, textRatio: 1, randomRatio: 0 }) < 8);
  assert.ok(compressionOf({ seed: 5, textRatio: 0, randomRatio: 1 }) < 1.01);
});

Deno.test("the digest of a page that was made is the one that is expected", () => {
  const content = new PageContent({ seed: 5, textRatio: 0.4, randomRatio: 0.2 });
  const page = new Uint32Array(PAGE_WORDS);
  for (let index = 0; index < 200; index++) {
    for (const version of [0, 1, index, 100_000]) {
      content.write(MEMORY_SPACE, index, version, page, 0);
      assert.equal(
        content.digestOf(MEMORY_SPACE, index, page, 0),
        content.expectedDigest(MEMORY_SPACE, index, version),
      );
    }
  }
});

Deno.test("neighbouring versions differ in each eighth of a page, and in little else", () => {
  const content = new PageContent({ seed: 5, textRatio: 0.4, randomRatio: 0.2 });
  const [one, two] = [new Uint32Array(PAGE_WORDS), new Uint32Array(PAGE_WORDS)];
  for (let index = 0; index < 100; index++) {
    const zero = [10, 11].some((version) => content.isZero(MEMORY_SPACE, index, version));
    if (zero) continue;
    content.write(MEMORY_SPACE, index, 10, one, 0);
    content.write(MEMORY_SPACE, index, 11, two, 0);
    const changed = [...one.keys()].filter((word) => one[word] !== two[word]);
    assert.equal(changed.length, 8);
    assert.equal(new Set(changed.map((word) => Math.floor(word * 8 / PAGE_WORDS))).size, 8);
  }
});

function compressionOf(ratios: { seed: number; textRatio: number; randomRatio: number }): number {
  const content = new PageContent(ratios);
  const words = new Uint32Array(64 * PAGE_WORDS);
  for (let page = 0; page < 64; page++) {
    content.write(MEMORY_SPACE, page, 0, words, page * PAGE_WORDS);
  }
  return 64 * PAGE_BYTES / zstdCompressSync(Buffer.from(words.buffer)).length;
}
