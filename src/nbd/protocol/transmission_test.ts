import assert from "node:assert/strict";
import fc from "fast-check";
import * as codec from "./transmission.ts";

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const cookie = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

Deno.test("a request header is 28 bytes and comes back as it was", () => {
  fc.assert(fc.property(
    fc.record({ flags: u16, type: u16, cookie, offsetBytes: fc.maxSafeNat(), lengthBytes: u32 }, {
      noNullPrototype: true,
    }),
    (header) => {
      const bytes = codec.encodeRequest(header);
      assert.equal(bytes.length, 28);
      assert.deepEqual(codec.decodeRequest(bytes), header);
    },
  ));
});

Deno.test("both reply forms come back as they were", () => {
  fc.assert(fc.property(u32, u32, cookie, u16, u16, (errno, lengthBytes, cookie, flags, type) => {
    for (
      const [bytes, expected] of [
        [codec.encodeSimpleReply({ errno, cookie }), { kind: "simple", errno, cookie }],
        [
          codec.encodeChunkHeader({ flags, type, cookie, lengthBytes }),
          { kind: "chunk", flags, type, cookie, lengthBytes },
        ],
      ] as const
    ) {
      const restBytes = codec.replyRestBytes(bytes.subarray(0, 4));
      assert.equal(restBytes, bytes.length - 4);
      assert.deepEqual(codec.decodeReplyRest(bytes.subarray(4)), expected);
    }
  }));
});

Deno.test("a wrong magic or an offset beyond 2^53 is a protocol error", () => {
  const request = codec.encodeRequest({
    flags: 0,
    type: 0,
    cookie: 1n,
    offsetBytes: 0,
    lengthBytes: 1,
  });
  const far = request.slice().fill(0xff, 16, 24);
  assert.throws(() => codec.decodeRequest(far), { code: "nbd_protocol" });
  request[0] ^= 1;
  assert.throws(() => codec.decodeRequest(request), { code: "nbd_protocol" });
  assert.throws(() => codec.replyRestBytes(request), { code: "nbd_protocol" });
});
