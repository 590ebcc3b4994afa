import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { BlockDevice } from "./block_device.ts";
import { TRACKED_BYTES } from "./units.ts";

const SIZE_BYTES = 10 * TRACKED_BYTES + 4096;

Deno.test("a disk reads back what was written and zeroed, and its bitmap covers the writes", async () => {
  const change = fc.record({
    at: fc.nat(SIZE_BYTES - 1),
    length: fc.integer({ min: 1, max: 3 * TRACKED_BYTES }),
    fill: fc.nat(255),
    zero: fc.boolean(),
  }, { noNullPrototype: true });
  await withDirectory((directory) => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        const disk = new BlockDevice("disk0", `${directory}/a.raw`, SIZE_BYTES, { keep: false });
        const model = new Uint8Array(SIZE_BYTES);
        disk.startBitmap("a");
        for (const { at, length, fill, zero } of changes) {
          const end = Math.min(SIZE_BYTES, at + length);
          model.fill(zero ? 0 : fill, at, end);
          if (zero) disk.zero(at, end - at);
          else disk.write(at, model.subarray(at, end));
        }
        const found = new Uint8Array(SIZE_BYTES);
        disk.read(0, found);
        assert.ok(Buffer.from(found).equals(model));
        // Whoever copies what the bitmap names into an empty disk has the whole disk.
        const copy = new Uint8Array(SIZE_BYTES);
        for (const { offsetBytes, lengthBytes, kind } of disk.extents("a")) {
          if (kind === "zero") copy.fill(0, offsetBytes, offsetBytes + lengthBytes);
          else disk.read(offsetBytes, copy.subarray(offsetBytes, offsetBytes + lengthBytes));
        }
        assert.ok(Buffer.from(copy).equals(model));
        disk.close();
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("a frozen bitmap takes no more writes, the one started with it takes them all", async () => {
  await withDirectory((directory) => {
    const disk = new BlockDevice("disk0", `${directory}/a.raw`, SIZE_BYTES, { keep: false });
    const block = new Uint8Array(TRACKED_BYTES).fill(1);
    disk.startBitmap("first");
    disk.write(0, block);
    disk.freezeBitmap("first");
    disk.startBitmap("second");
    disk.write(2 * TRACKED_BYTES, block);
    assert.deepEqual(disk.extents("first").map(({ offsetBytes }) => offsetBytes), [0]);
    assert.deepEqual(
      disk.extents("second").map(({ offsetBytes }) => offsetBytes),
      [2 * TRACKED_BYTES],
    );
    disk.mergeBitmap("first", "second");
    disk.endBitmap("first");
    assert.equal(disk.dirtyBytes("second"), 2 * TRACKED_BYTES);
    assert.throws(() => disk.dirtyBytes("first"), { code: "guest_state" });
    disk.close();
  });
});

Deno.test("a full bitmap covers the whole disk: data where something may be, zero elsewhere", async () => {
  await withDirectory((directory) => {
    const disk = new BlockDevice("disk0", `${directory}/a.raw`, SIZE_BYTES, { keep: false });
    disk.write(3 * TRACKED_BYTES + 5, new Uint8Array(2).fill(9));
    disk.addFullBitmap("all");
    assert.deepEqual(disk.extents("all"), [
      { offsetBytes: 0, lengthBytes: 3 * TRACKED_BYTES, kind: "zero" },
      { offsetBytes: 3 * TRACKED_BYTES, lengthBytes: TRACKED_BYTES, kind: "data" },
      { offsetBytes: 4 * TRACKED_BYTES, lengthBytes: SIZE_BYTES - 4 * TRACKED_BYTES, kind: "zero" },
    ]);
    disk.close();
  });
});

Deno.test("an image that is kept is never taken for empty", async () => {
  await withDirectory((directory) => {
    const path = `${directory}/a.raw`;
    const first = new BlockDevice("disk0", path, SIZE_BYTES, { keep: true });
    first.write(TRACKED_BYTES, new Uint8Array(10).fill(7));
    first.close();
    const second = new BlockDevice("disk0", path, SIZE_BYTES, { keep: true });
    second.addFullBitmap("all");
    const whole = [{ offsetBytes: 0, lengthBytes: SIZE_BYTES, kind: "data" }];
    assert.deepEqual(second.extents("all"), whole);
    second.zero(0, SIZE_BYTES);
    const bytes = new Uint8Array(SIZE_BYTES);
    second.read(0, bytes);
    assert.ok(bytes.every((byte) => byte === 0));
    second.close();
  });
});

Deno.test("zeroing what is empty leaves a sparse image sparse", async () => {
  await withDirectory((directory) => {
    const disk = new BlockDevice("disk0", `${directory}/a.raw`, SIZE_BYTES, { keep: false });
    disk.zero(0, SIZE_BYTES);
    assert.equal(disk.storedBytes, 0);
    disk.close();
  });
});

Deno.test("reads and writes outside of the disk are refused", async () => {
  await withDirectory((directory) => {
    const disk = new BlockDevice("disk0", `${directory}/a.raw`, SIZE_BYTES, { keep: false });
    for (const [at, length] of [[-1, 1], [SIZE_BYTES, 1], [0.5, 1], [SIZE_BYTES - 1, 2]]) {
      assert.throws(() => disk.read(at, new Uint8Array(length)), RangeError);
      assert.throws(() => disk.write(at, new Uint8Array(length)), RangeError);
      assert.throws(() => disk.zero(at, length), RangeError);
    }
    disk.close();
  });
});

async function withDirectory(use: (directory: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  try {
    use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
