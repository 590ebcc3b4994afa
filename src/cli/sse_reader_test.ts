import assert from "node:assert/strict";
import fc from "fast-check";
import { EVENT_CHARACTERS_MAX, EventDecoder } from "./sse_reader.ts";

Deno.test("events come out the same however the stream is cut", () => {
  const text = 'retry: 1000\n\n: comment\n\nevent: report\ndata: {"a":1}\ndata: {"b":2}\r\n\r\n' +
    "data:plain\rid: 7\r\revent: end\ndata: x\n\nevent: half\ndata: never";
  const expected = [
    { name: "report", data: '{"a":1}\n{"b":2}' },
    { name: "message", data: "plain" },
    { name: "end", data: "x" },
  ];
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 20 })), (sizes) => {
    const decoder = new EventDecoder();
    const events = [];
    let at = 0;
    for (const size of [...sizes, text.length]) {
      events.push(...decoder.push(text.slice(at, at + size)));
      at += size;
    }
    assert.deepEqual(events, expected);
  }));
});

Deno.test("a line and an event without end are refused", () => {
  const half = "x".repeat(EVENT_CHARACTERS_MAX / 2);
  const line = new EventDecoder();
  line.push(half);
  line.push(half);
  assert.throws(() => line.push("x"), RangeError);
  const event = new EventDecoder();
  assert.throws(() => {
    for (let n = 0; n < 3; n++) event.push(`data: ${half}\n`);
  }, RangeError);
});
