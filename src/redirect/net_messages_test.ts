import assert from "node:assert/strict";
import fc from "fast-check";
import { netMessage, NetMessages } from "./net_messages.ts";

Deno.test("messages arrive whole and in order, in whatever pieces they come", () => {
  const message = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 30 })), (sent, sizes) => {
      const bytes = sent.flatMap(([type, body]) => [...netMessage(type, body)]);
      const reader = new NetMessages();
      const heard: [number, Uint8Array][] = [];
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = sizes[n % sizes.length] ?? 7;
        const chunk = Uint8Array.from(bytes.slice(at, at + size));
        reader.add(chunk, (type, body) => heard.push([type, body.slice()]));
        chunk.fill(255);
        at += size;
      }
      assert.deepEqual(heard, sent);
    }),
  );
});

Deno.test("a length that no message has is refused before anything is waited for", () => {
  const reader = new NetMessages();
  assert.throws(() => reader.add(Uint8Array.of(0xff, 0, 0, 0, 1), () => {}), RangeError);
});
