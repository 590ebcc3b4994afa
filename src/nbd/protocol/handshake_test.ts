import assert from "node:assert/strict";
import fc from "fast-check";
import { pack } from "./bytes.ts";
import { MAX_CONTEXTS, MAX_OPTION_BYTES, MAX_OPTION_REPLY_BYTES, OPTION } from "./constants.ts";
import * as codec from "./handshake.ts";

const name = fc.string({ unit: "grapheme", maxLength: 40 });
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const isProtocolError = { name: "GatewayError", code: "nbd_protocol" };

/** Encoders beside decoders, with values that both accept. */
const MESSAGES: {
  name: string;
  value: fc.Arbitrary<unknown>;
  // deno-lint-ignore no-explicit-any
  encode: (value: any) => Uint8Array;
  decode: (bytes: Uint8Array) => unknown;
}[] = [
  { name: "greeting", value: u16, encode: codec.encodeGreeting, decode: codec.decodeGreeting },
  {
    name: "info request",
    value: fc.record({ exportName: name, infoTypes: fc.array(u16, { maxLength: 9 }) }, {
      noNullPrototype: true,
    }),
    encode: codec.encodeInfoRequest,
    decode: codec.decodeInfoRequest,
  },
  {
    name: "export information",
    value: fc.record({
      kind: fc.constant("export"),
      sizeBytes: fc.maxSafeNat(),
      flags: u16,
    }, { noNullPrototype: true }),
    encode: codec.encodeExportInfo,
    decode: codec.decodeExportInfo,
  },
  {
    name: "context request",
    value: fc.record({ exportName: name, queries: fc.array(name, { maxLength: 9 }) }, {
      noNullPrototype: true,
    }),
    encode: codec.encodeContextRequest,
    decode: codec.decodeContextRequest,
  },
  {
    name: "list entry",
    value: name,
    encode: codec.encodeListEntry,
    decode: codec.decodeListEntry,
  },
];

for (const message of MESSAGES) {
  Deno.test(`${message.name}: decoding gives back what was encoded`, () => {
    fc.assert(fc.property(message.value, (value) => {
      assert.deepEqual(message.decode(message.encode(value)), value);
    }));
  });

  Deno.test(`${message.name}: every truncation is a protocol error`, () => {
    fc.assert(fc.property(message.value, fc.nat(), (value, at) => {
      const bytes = message.encode(value);
      const cut = bytes.subarray(0, at % bytes.length);
      assert.throws(() => message.decode(cut), isProtocolError);
    }));
  });
}

Deno.test("a context keeps its id and name", () => {
  fc.assert(fc.property(u32, name, (id, text) => {
    assert.deepEqual(codec.decodeContext(codec.encodeContext(id, text)), { id, name: text });
  }));
});

Deno.test("block sizes are used as far as this client can", () => {
  const decode = (minBytes: number, preferredBytes: number, maxPayloadBytes: number) => {
    const sizes = { minBytes, preferredBytes, maxPayloadBytes };
    const info = codec.decodeExportInfo(codec.encodeExportInfo({ kind: "blockSize", sizes }));
    assert(info.kind === "blockSize");
    return info.sizes.maxPayloadBytes;
  };
  assert.equal(decode(1, 4096, 33_554_432), 33_554_432);
  assert.equal(decode(512, 4096, 0xffff_ffff), 33_554_432);
  assert.equal(decode(4096, 4096, 1_050_000), 1_048_576);
  for (const bad of [[0, 4096, 8192], [3, 4096, 8192], [131072, 262144, 524288], [1, 4096, 1]]) {
    assert.throws(() => decode(bad[0], bad[1], bad[2]), isProtocolError);
  }
});

Deno.test("lengths above their limits are refused from the header alone", () => {
  const option = (lengthBytes: number) =>
    pack([64, 0x49484156454f5054n], [32, OPTION.go], [32, lengthBytes]);
  assert.equal(codec.decodeOptionHeader(option(MAX_OPTION_BYTES)).lengthBytes, MAX_OPTION_BYTES);
  assert.throws(() => codec.decodeOptionHeader(option(MAX_OPTION_BYTES + 1)), isProtocolError);

  const reply = (lengthBytes: number) =>
    pack([64, 0x0003e889045565a9n], [32, 7], [32, 1], [32, lengthBytes]);
  assert.equal(
    codec.decodeOptionReplyHeader(reply(MAX_OPTION_REPLY_BYTES)).lengthBytes,
    MAX_OPTION_REPLY_BYTES,
  );
  assert.throws(
    () => codec.decodeOptionReplyHeader(reply(MAX_OPTION_REPLY_BYTES + 1)),
    isProtocolError,
  );

  const contexts = pack([32, 0], [32, MAX_CONTEXTS + 1]);
  assert.throws(() => codec.decodeContextRequest(contexts), isProtocolError);
  assert.throws(() => codec.decodeListEntry(pack([32, 0xffff_ffff])), isProtocolError);
});

Deno.test("sizes beyond 2^53 and text that is not UTF-8 are refused", () => {
  const size = pack([16, 0], [64, 2n ** 60n], [16, 1]);
  assert.throws(() => codec.decodeExportInfo(size), isProtocolError);
  assert.throws(
    () => codec.decodeListEntry(pack([32, 1], new Uint8Array([0xff]))),
    isProtocolError,
  );
});

Deno.test("an oldstyle or foreign server is named as such", () => {
  const oldstyle = pack("NBDMAGIC", [64, 0x00420281861253n], [16, 0]);
  assert.throws(() => codec.decodeGreeting(oldstyle), /oldstyle/);
  assert.throws(() => codec.decodeGreeting(pack("HTTP/1.1 400 Bad Re")), /does not greet as NBD/);
});
