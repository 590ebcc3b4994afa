import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeFeedback, encodeMark, encodePing } from "./path_datagram.ts";
import { decodeCopy, encodeCopy } from "./record_copy.ts";

Deno.test("a record comes back from its copy as it was", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 1200 }), (record) => {
    assert.deepEqual(decodeCopy(encodeCopy(record, 1201)!), record);
  }));
});

Deno.test("what does not fit into one datagram is not copied", () => {
  assert.equal(encodeCopy(new Uint8Array(1200), 1200), null);
  assert.equal(encodeCopy(new Uint8Array(1199), 1200)?.length, 1200);
  assert.equal(encodeCopy(new Uint8Array(0), 1200), null);
});

Deno.test("datagrams of the path, and an empty copy, are no records", () => {
  const feedback = encodeFeedback({
    nowMs: 1,
    echoedSentMs: 1,
    heldMs: 0,
    markCount: 0,
    markBytes: 0,
    lastMark: 0,
    lastMarkAtMs: NaN,
    transitMs: NaN,
    consumedBytes: 0,
    laneBytes: [1, 2],
  });
  const mark = encodeMark({ number: 1, sentMs: 1, chunkBytes: 1 });
  for (const datagram of [feedback, mark, encodePing(1), Uint8Array.of(4), new Uint8Array(0)]) {
    assert.equal(decodeCopy(datagram), null);
  }
});
