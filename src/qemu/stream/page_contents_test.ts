import assert from "node:assert/strict";
import { PageContents } from "./page_contents.ts";

Deno.test("contents are apart from each other until they may be used again", () => {
  const contents = new PageContents(true);
  for (let round = 0; round < 4; round++) {
    contents.reuse();
    const taken = [4096, 8192, 602_112, 4096, 901_120].map((bytes, i) =>
      contents.take(bytes).fill(i)
    );
    taken.forEach((bytes, i) => {
      assert.ok(bytes.every((byte) => byte === i), `round ${round}, ${i}`);
      assert.equal(bytes.byteOffset % 4096, 0);
    });
  }
});

Deno.test("memory is used again, but not where its reader keeps it", () => {
  const reused = new PageContents(true);
  reused.take(4096);
  reused.reuse();
  const first = reused.take(4096);
  reused.reuse();
  assert.equal(reused.take(4096).buffer, first.buffer);
  const kept = new PageContents(false);
  const before = kept.take(4096);
  kept.reuse();
  assert.notEqual(kept.take(4096).buffer, before.buffer);
});
