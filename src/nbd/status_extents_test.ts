import assert from "node:assert/strict";
import fc from "fast-check";
import { allocationExtents, dirtyParts } from "./status_extents.ts";

/** One status per letter run, 10 bytes per letter. */
function statuses(text: string, flagsOf: Record<string, number>) {
  return [...text].map((letter, index) => ({
    offsetBytes: index * 10,
    lengthBytes: 10,
    flags: flagsOf[letter],
  }));
}

Deno.test("only what is known to read as zeroes is a zero extent", () => {
  const extents = allocationExtents(statuses("dhzb", { d: 0, h: 1, z: 2, b: 3 }));
  assert.deepEqual(extents, [
    { offsetBytes: 0, lengthBytes: 20, kind: "data" },
    { offsetBytes: 20, lengthBytes: 20, kind: "zero" },
  ]);
});

Deno.test("dirty parts are all data where allocation is unknown", () => {
  const dirty = statuses(".xx.x", { ".": 0, x: 1 });
  assert.deepEqual(dirtyParts(dirty, []), [
    { offsetBytes: 10, lengthBytes: 20, kind: "data" },
    { offsetBytes: 40, lengthBytes: 10, kind: "data" },
  ]);
});

Deno.test("every dirty byte is in one part, with the kind it has in the allocation", () => {
  const bits = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(bits, bits, (dirtyBits, zeroBits) => {
    const dirty = dirtyBits.map((bit, index) => ({
      offsetBytes: index * 6,
      lengthBytes: 6,
      flags: bit ? 1 : 0,
    }));
    const allocation = allocationExtents(zeroBits.map((bit, index) => ({
      offsetBytes: index * 4,
      lengthBytes: 4,
      flags: bit ? 3 : 0,
    })));
    const kinds: (string | undefined)[] = Array(dirtyBits.length * 6).fill(undefined);
    for (const { offsetBytes, lengthBytes, kind } of dirtyParts(dirty, allocation)) {
      for (let at = offsetBytes; at < offsetBytes + lengthBytes; at++) {
        assert.equal(kinds[at], undefined);
        kinds[at] = kind;
      }
    }
    kinds.forEach((kind, at) => {
      const zero = zeroBits[Math.floor(at / 4)] ?? false;
      const expected = dirtyBits[Math.floor(at / 6)] ? (zero ? "zero" : "data") : undefined;
      assert.equal(kind, expected, `byte ${at}`);
    });
  }));
});
