import assert from "node:assert/strict";
import fc from "fast-check";
import { StreamEndDetector } from "./stream_end.ts";

function closing(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(6 + text.length);
  bytes[1] = 6;
  new DataView(bytes.buffer).setUint32(2, text.length);
  bytes.set(text, 6);
  return bytes;
}

Deno.test("the end of a stream is seen with its last byte and not before, at any chunking", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 400 }),
    fc.jsonValue(),
    fc.integer({ min: 1, max: 97 }),
    (state, value, step) => {
      const end = closing(JSON.stringify({ page_size: 4096, devices: value }));
      const stream = new Uint8Array([...state, ...end]);
      const detector = new StreamEndDetector();
      for (let at = 0; at < stream.length; at += step) {
        const done = detector.push(stream.subarray(at, at + step));
        if (at + step >= stream.length) assert.equal(done, true);
        // What comes before may look like an end only by chance, which device state may do.
        else if (at + step > state.length) assert.equal(done, false);
      }
    },
  ));
});

Deno.test("a length that does not reach the last byte is no end", () => {
  const bytes = closing('{"devices":[]}');
  assert.equal(new StreamEndDetector().push(new Uint8Array([...bytes, 0x7d])), false);
});
