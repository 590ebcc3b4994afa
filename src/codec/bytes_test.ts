import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { ByteSink, ByteSource } from "./bytes.ts";

const isBatchInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

Deno.test("varints come back as they were, up to 2^53 - 1", () => {
  fc.assert(fc.property(fc.array(fc.maxSafeNat()), (values) => {
    const sink = new ByteSink(1);
    for (const value of values) sink.varint(value);
    const source = new ByteSource(sink.view());
    assert.deepEqual(values.map(() => source.varint()), values);
    source.end();
  }));
});

Deno.test("signed numbers come back as they were", () => {
  fc.assert(fc.property(fc.integer({ min: -(2 ** 51), max: 2 ** 51 }), (value) => {
    const sink = new ByteSink();
    sink.signed(value);
    assert.equal(new ByteSource(sink.view()).signed(), value);
  }));
});

Deno.test("numbers that do not fit, or are longer than needed, are refused", () => {
  const cases = {
    "beyond 2^53": [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    "endless": Array(20).fill(0x80),
    "padded": [0x81, 0x00],
    "cut": [0x81],
    "empty": [],
  };
  for (const [name, bytes] of Object.entries(cases)) {
    assert.throws(() => new ByteSource(Uint8Array.from(bytes)).varint(), isBatchInvalid, name);
  }
});

Deno.test("a count of more entries than bytes can hold is refused", () => {
  const sink = new ByteSink();
  sink.varint(1_000_000_000);
  sink.raw(new Uint8Array(10));
  assert.throws(() => new ByteSource(sink.view()).count(1, "pages"), isBatchInvalid);
});

Deno.test("text that is not UTF-8 is refused", () => {
  const bytes = Uint8Array.from([2, 0xc3, 0x28]);
  assert.throws(() => new ByteSource(bytes).text(255), isBatchInvalid);
});
