import assert from "node:assert/strict";
import fc from "fast-check";
import { LineDecoder } from "./line_decoder.ts";

const utf8 = new TextEncoder();

Deno.test("lines come out whole at any chunking", () => {
  fc.assert(fc.property(
    fc.array(fc.string({ unit: "grapheme" }).map((text) => text.replace(/\s/g, "_"))),
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
    (texts, steps) => {
      const stream = utf8.encode(texts.map((text) => `${text}\r\n`).join(""));
      const decoder = new LineDecoder();
      const got: string[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const part = stream.slice(at, at + steps[turn % steps.length]);
        got.push(...decoder.push(part));
        // The decoder must not look at an input buffer again once push has returned.
        at += part.length;
        part.fill(0);
      }
      assert.deepEqual(got, texts.filter((text) => text !== ""));
    },
  ));
});

Deno.test("a line over the limit is refused before it is held", () => {
  const decoder = new LineDecoder(8);
  assert.deepEqual(decoder.push(utf8.encode("12345678\n1234")), ["12345678"]);
  assert.throws(() => decoder.push(utf8.encode("56789")), { code: "qmp_protocol" });
});

Deno.test("bytes that are not UTF-8 are refused", () => {
  assert.throws(() => new LineDecoder().push(Uint8Array.of(0xff, 0x0a)), { code: "qmp_protocol" });
});
