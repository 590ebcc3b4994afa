import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import {
  getName,
  hintOf,
  isSameName,
  NAME_BYTES,
  nameBuffer,
  nameContent,
  nameKey,
  putName,
} from "./content_name.ts";
import { digestPage } from "./page_digest.ts";

const content = fc.uint8Array({ maxLength: 200 });

Deno.test("a name is the SHA-256 of its content, as words and as bytes", () => {
  fc.assert(fc.property(content, fc.nat(3), (content, at) => {
    const name = nameBuffer();
    nameContent(content, name);
    const expected = createHash("sha256").update(content).digest();
    const bytes = new Uint8Array(NAME_BYTES + 3);
    putName(name, bytes, at);
    assert.deepEqual(bytes.subarray(at, at + NAME_BYTES), new Uint8Array(expected));
    const back = nameBuffer();
    getName(bytes, at, back);
    assert.ok(isSameName(back, name));
    assert.equal(hintOf(name), parseInt(expected.toString("hex").slice(0, 12), 16));
    const digest = new Uint32Array(4);
    digestPage(content, digest);
    assert.deepEqual(name.subarray(0, 4), digest);
  }));
});

Deno.test("names that differ in any bit are not the same, nor are their keys", () => {
  fc.assert(fc.property(content, fc.nat(255), (content, bit) => {
    const name = nameBuffer();
    nameContent(content, name);
    const other = name.slice();
    other[bit >>> 5] ^= 1 << (bit & 31);
    assert.equal(isSameName(name, other), false);
    assert.notEqual(nameKey(name), nameKey(other));
    assert.equal(nameKey(name), nameKey(name.slice()));
  }));
});
