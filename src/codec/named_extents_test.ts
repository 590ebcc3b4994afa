import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { type Extent, totalBytes } from "../core/extents.ts";
import { hintOf, nameBuffer, nameContent, nameKey, UNIT_BYTES } from "../image/content_name.ts";
import { ByteSink } from "./bytes.ts";
import { decodeDiskBatch, encodeDiskBatch } from "./disk_batch.ts";
import { open, seal } from "./envelope.ts";
import { nameExtents } from "./named_extents.ts";
import { type NamedContents, NamesMissing, type PageNames } from "./named_items.ts";
import { randomFrom } from "./testing/memory_model.ts";

const DISK_BYTES = 4 * 1024 * 1024;

/** Both sides' knowledge: what the destination has, by name, and what it says that it has. */
class Shared implements NamedContents, PageNames {
  readonly byName = new Map<string, Uint8Array>();
  readonly hints = new Set<number>();
  readonly kept = new Map<string, Uint8Array>();
  arrivedCount = 0;
  carriedCount = 0;

  add(content: Uint8Array, isThere: boolean): void {
    const name = nameBuffer();
    nameContent(content, name);
    this.hints.add(hintOf(name));
    if (isThere) this.byName.set(nameKey(name), new Uint8Array(content));
  }

  mayName = (name: Uint32Array) => this.hints.has(hintOf(name));
  named(name: Uint32Array, content: Uint8Array): void {
    this.kept.set(nameKey(name), new Uint8Array(content));
  }
  carried = () => void this.carriedCount++;
  closeBatch = () => ({ sent: () => {}, dropped: () => {} });
  resolve(name: Uint32Array, into: Uint8Array): boolean {
    const found = this.byName.get(nameKey(name));
    into.set(found ?? new Uint8Array(UNIT_BYTES).fill(0xee));
    return found !== undefined;
  }
  arrived(content: Uint8Array): void {
    if (content.some((byte) => byte !== 0)) this.arrivedCount++;
  }
}

/** Extents at any offset, whose units are of a few contents, zeros among them. */
const anyBatch = fc.record({
  seed: fc.nat(),
  pieces: fc.array(
    fc.record({
      gapBytes: fc.constantFrom(0, 1, 512, 4096, 5000),
      lengthBytes: fc.constantFrom(512, 4096, 8192, 9000, 40_960, 65_536),
      kind: fc.constantFrom("data" as const, "data" as const, "zero" as const),
    }),
    { minLength: 1, maxLength: 6 },
  ),
}).map(({ seed, pieces }) => {
  const extents: Extent[] = [];
  let end = 0;
  for (const { gapBytes, lengthBytes, kind } of pieces) {
    extents.push({ offsetBytes: end + gapBytes, lengthBytes, kind });
    end += gapBytes + lengthBytes;
  }
  const random = randomFrom(seed);
  const contents = new Uint8Array(totalBytes(extents, "data"));
  let at = 0;
  for (const { kind, offsetBytes, lengthBytes } of extents) {
    if (kind !== "data") continue;
    for (let i = 0; i < lengthBytes; i++, at++) {
      const unit = Math.floor((offsetBytes + i) / UNIT_BYTES);
      contents[at] = unit % 5 === 0 ? 0 : randomFrom(seed + unit % 7)(256) + i % 3;
    }
  }
  return { extents, contents, random };
});

function unitsOf(contents: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: Math.floor(contents.byteLength / UNIT_BYTES) },
    (_, i) => contents.subarray(i * UNIT_BYTES, (i + 1) * UNIT_BYTES),
  );
}

Deno.test("blocks that travel as names arrive, whatever of it has to be asked for", () => {
  let savedBytes = 0;
  let needs = 0;
  fc.assert(
    fc.property(anyBatch, ({ extents, contents, random }) => {
      const shared = new Shared();
      let at = 0;
      for (const { kind, offsetBytes, lengthBytes } of extents) {
        if (kind !== "data") continue;
        const skip = (UNIT_BYTES - offsetBytes % UNIT_BYTES) % UNIT_BYTES;
        for (
          const unit of unitsOf(
            contents.subarray(at + Math.min(skip, lengthBytes), at + lengthBytes),
          )
        ) {
          if (random(2) === 0) shared.add(unit, random(4) > 0);
        }
        at += lengthBytes;
      }
      const wire = nameExtents(extents, contents, shared);
      assert.equal(wire.contents.byteLength + wire.savedBytes, contents.byteLength);
      const payload = encodeDiskBatch({ disk: 0, ...wire }, { level: 1 });
      let decoded;
      try {
        decoded = decodeDiskBatch(payload, [DISK_BYTES], shared);
      } catch (thrown) {
        if (!(thrown instanceof NamesMissing)) throw thrown;
        assert.equal(shared.arrivedCount, 0, "it had an effect");
        needs += thrown.names.length;
        for (const name of thrown.names) shared.add(shared.kept.get(nameKey(name))!, true);
        decoded = decodeDiskBatch(payload, [DISK_BYTES], shared);
      }
      assert.deepEqual(decoded.contents, contents);
      assert.deepEqual(joined(decoded.extents), joined(extents));
      assert.equal(shared.arrivedCount, shared.carriedCount);
      savedBytes += wire.savedBytes;
    }),
    { numRuns: 200, endOnFailure: true },
  );
  assert.ok(savedBytes > 100_000 && needs > 10, `${savedBytes} saved, ${needs} needed`);
});

/** Neighbours of one kind as one extent. */
function joined(extents: readonly Extent[]): Extent[] {
  const out: Extent[] = [];
  for (const extent of extents) {
    const last = out.at(-1);
    if (last?.kind === extent.kind && last.offsetBytes + last.lengthBytes === extent.offsetBytes) {
      out[out.length - 1] = { ...last, lengthBytes: last.lengthBytes + extent.lengthBytes };
    } else out.push(extent);
  }
  return out;
}

const isInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

/** A batch with this description and so many names. */
function batchOf(numbers: readonly number[], contentBytes: number): Uint8Array {
  const body = new ByteSink();
  body.raw(new Uint8Array(contentBytes));
  const description = new ByteSink();
  for (const number of numbers) description.varint(number);
  return seal(body, description.view(), null);
}

Deno.test("named blocks that fit no disk or no batch are refused", () => {
  const shared = new Shared();
  const cases: [string, Uint8Array][] = [
    ["no unit", batchOf([0, 1, 0, 0, 0], 0)],
    ["more units than names", batchOf([0, 1, 0, 0, 2], 32)],
    ["more names than units", batchOf([0, 1, 0, 0, 1], 64)],
    ["a unit behind the end", batchOf([0, 1, 2 * (2 * DISK_BYTES - 4095), 0, 1], 32)],
    ["more than a batch leads to", batchOf([0, 1, 0, 0, 1025], 32 * 1025)],
    ["a description that is cut", batchOf([0, 1, 0, 0], 32)],
  ];
  for (const [what, payload] of cases) {
    assert.throws(() => decodeDiskBatch(payload, [2 * DISK_BYTES], shared), isInvalid, what);
  }
  assert.throws(() => decodeDiskBatch(batchOf([0, 1, 0, 0, 1], 32), [DISK_BYTES]), isInvalid);
});

Deno.test("a disk batch with names that was tampered with is refused, asks, or stays on its disk", () => {
  const shared = new Shared();
  const contents = new Uint8Array(8 * UNIT_BYTES).map((_, i) => 1 + (i >>> 12));
  unitsOf(contents).forEach((unit, i) => i % 2 === 0 && shared.add(unit, true));
  const extents: Extent[] = [
    { offsetBytes: 0, lengthBytes: contents.byteLength, kind: "data" },
    { offsetBytes: contents.byteLength + 512, lengthBytes: 4096, kind: "zero" },
  ];
  const body = open(encodeDiskBatch({ disk: 0, ...nameExtents(extents, contents, shared) }));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(body.description.byteLength - 1), fc.nat(255)), { minLength: 1 }),
      fc.nat(body.description.byteLength),
      (edits, length) => {
        const edited = new Uint8Array(body.description);
        for (const [at, byte] of edits) edited[at] = byte;
        const sink = new ByteSink();
        sink.raw(body.contents);
        try {
          const payload = seal(sink, edited.subarray(0, length), null);
          const batch = decodeDiskBatch(payload, [DISK_BYTES], shared);
          assert.equal(totalBytes(batch.extents, "data"), batch.contents.byteLength);
          for (const { offsetBytes, lengthBytes } of batch.extents) {
            assert.ok(offsetBytes >= 0 && offsetBytes + lengthBytes <= DISK_BYTES);
          }
        } catch (thrown) {
          if (!(thrown instanceof NamesMissing) && !isInvalid(thrown)) throw thrown;
        }
      },
    ),
    { numRuns: 500 },
  );
});
