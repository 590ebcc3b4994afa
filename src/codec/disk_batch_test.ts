import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import type { Extent } from "../core/extents.ts";
import { decodeDiskBatch, DISK_BATCH_CONTENTS_MAX, encodeDiskBatch } from "./disk_batch.ts";
import { BATCH_BYTES_MAX } from "./envelope.ts";

const DISKS = [1 << 20, 2 ** 45];

const isBatchInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

const anyBatch = fc.tuple(
  fc.array(
    fc.record({
      offsetBytes: fc.oneof(fc.nat(1 << 20), fc.integer({ min: 0, max: 2 ** 44 })),
      lengthBytes: fc.integer({ min: 1, max: 2_000 }),
      kind: fc.constantFrom<Extent["kind"]>("data", "zero"),
    }, { noNullPrototype: true }),
    { minLength: 1, maxLength: 20 },
  ),
  fc.nat(255),
).map(([extents, seed]) => {
  const dataBytes = extents.reduce((n, e) => n + (e.kind === "data" ? e.lengthBytes : 0), 0);
  const contents = Uint8Array.from({ length: dataBytes }, (_, i) => i * i * seed >> 3);
  return { disk: 1, extents, contents };
});

Deno.test("extents and contents come back as they were", () => {
  fc.assert(fc.property(anyBatch, (batch) => {
    const decoded = decodeDiskBatch(encodeDiskBatch(batch), DISKS);
    assert.equal(decoded.disk, 1);
    assert.deepEqual(decoded.extents, batch.extents);
    assert.ok(Buffer.from(decoded.contents).equals(batch.contents));
  }));
});

Deno.test("a zero extent of a whole disk costs a few bytes", () => {
  const extents: Extent[] = [{ offsetBytes: 0, lengthBytes: 2 ** 45, kind: "zero" }];
  const payload = encodeDiskBatch({ disk: 1, extents, contents: new Uint8Array(0) });
  assert.ok(payload.byteLength < 40);
  assert.deepEqual(decodeDiskBatch(payload, DISKS).extents, extents);
});

Deno.test("the largest batch of noise fits a frame", () => {
  const contents = new Uint8Array(DISK_BATCH_CONTENTS_MAX);
  for (let at = 0; at < contents.byteLength; at += 65_536) {
    crypto.getRandomValues(contents.subarray(at, Math.min(at + 65_536, contents.byteLength)));
  }
  const extents: Extent[] = [{ offsetBytes: 0, lengthBytes: contents.byteLength, kind: "data" }];
  const payload = encodeDiskBatch({ disk: 1, extents, contents });
  assert.ok(payload.byteLength <= BATCH_BYTES_MAX);
  assert.ok(Buffer.from(decodeDiskBatch(payload, DISKS).contents).equals(contents));
});

Deno.test("a batch that is cut at any byte is refused", () => {
  const extents: Extent[] = [{ offsetBytes: 512, lengthBytes: 600, kind: "data" }];
  for (const step of [0, 7]) {
    const contents = Uint8Array.from({ length: 600 }, (_, i) => i * step * (i >> 3));
    const payload = encodeDiskBatch({ disk: 0, extents, contents });
    for (let bytes = 0; bytes < payload.byteLength; bytes++) {
      assert.throws(() => decodeDiskBatch(payload.slice(0, bytes), DISKS), isBatchInvalid);
    }
  }
});

Deno.test("extents beyond the disk, and disks that were not offered, are refused", () => {
  const contents = new Uint8Array(512).fill(7);
  const at = (offsetBytes: number): Extent[] => [{ offsetBytes, lengthBytes: 512, kind: "data" }];
  const beyond = encodeDiskBatch({ disk: 0, extents: at((1 << 20) - 511), contents });
  assert.throws(() => decodeDiskBatch(beyond, DISKS), isBatchInvalid);
  const unknown = encodeDiskBatch({ disk: 2, extents: at(0), contents });
  assert.throws(() => decodeDiskBatch(unknown, DISKS), isBatchInvalid);
});

Deno.test("garbage is refused as batch_invalid and by nothing else", () => {
  const extents: Extent[] = [
    { offsetBytes: 0, lengthBytes: 4, kind: "data" },
    { offsetBytes: 4, lengthBytes: 9, kind: "zero" },
  ];
  const valid = encodeDiskBatch({ disk: 0, extents, contents: Uint8Array.of(1, 2, 3, 4) });
  const edits = fc.array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { minLength: 1 });
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), edits), (input) => {
    const payload = input instanceof Uint8Array ? input : valid.slice();
    if (!(input instanceof Uint8Array)) { for (const [at, byte] of input) payload[at] = byte; }
    try {
      for (const extent of decodeDiskBatch(payload, DISKS).extents) {
        assert.ok(extent.offsetBytes + extent.lengthBytes <= DISKS[1]);
      }
    } catch (thrown) {
      if (!isBatchInvalid(thrown)) throw thrown;
    }
  }));
});

Deno.test("contents that do not match the extents are a mistake of the caller", () => {
  const extents: Extent[] = [{ offsetBytes: 0, lengthBytes: 10, kind: "data" }];
  assert.throws(
    () => encodeDiskBatch({ disk: 0, extents, contents: new Uint8Array(9) }),
    RangeError,
  );
  assert.throws(
    () => encodeDiskBatch({ disk: 0, extents: [], contents: new Uint8Array(0) }),
    RangeError,
  );
});
