import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { RANDOM_POOL_BYTES, randomPool, TEXT_POOL_BYTES, textPool } from "./pools.ts";

Deno.test("the random pool cannot be compressed and is the same every time", () => {
  const pool = randomPool();
  assert.equal(pool.length, RANDOM_POOL_BYTES);
  assert.ok(zstdCompressSync(pool).length > RANDOM_POOL_BYTES * 0.999);
  assert.deepEqual(randomPool(), pool);
});

Deno.test("the text pool compresses well and every page of it can be stamped", () => {
  const pool = textPool();
  assert.equal(pool.length, TEXT_POOL_BYTES);
  assert.ok(zstdCompressSync(pool).length < TEXT_POOL_BYTES * 0.4);
  const text = new TextDecoder().decode(pool);
  assert.equal(text.match(/stamp 0000000000/g)!.length, TEXT_POOL_BYTES / 4096);
  for (let offset = 0; offset < TEXT_POOL_BYTES; offset += 4096) {
    assert.match(text.slice(offset, offset + 64), /^\d{6} page header stamp 0000000000 +\n$/);
  }
});
