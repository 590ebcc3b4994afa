import assert from "node:assert/strict";
import {
  decodeDiskBatch,
  DISK_BATCH_EXTENTS_MAX,
  type DiskBatch,
  encodeDiskBatch,
} from "../../../codec/disk_batch.ts";
import { BODY_BYTES_MAX } from "../../../codec/envelope.ts";
import { CHANGED_BYTES_MAX } from "../../../codec/item_kinds.ts";
import { NamesMissing } from "../../../codec/named_items.ts";
import type { BatchExtent } from "../../../codec/named_extents.ts";
import { contentBytesOf } from "../../../codec/named_extents.ts";
import { GatewayError } from "../../../core/errors.ts";
import type { Extent } from "../../../core/extents.ts";
import { nameBuffer, nameContent, nameKey, UNIT_BYTES } from "../../../image/content_name.ts";
import { HeldBlocks } from "../../../migration/destination/held_blocks.ts";
import type { Dice } from "../dice.ts";
import type { FuzzTarget } from "../target.ts";
import { mutateSealed } from "./envelope.ts";

const GIB = 2 ** 30;
const DISKS = [2 ** 20, 3 * 65_536 + 5_000, 64 * GIB, 0, 1024 * GIB];

/** Batches of disk extents, and the account of what the disks hold. */
export function diskBatches(): FuzzTarget {
  const known = new Map<string, Uint8Array>();
  for (let fill = 1; fill <= 3; fill++) {
    const content = new Uint8Array(UNIT_BYTES).fill(fill);
    known.set(nameOf(content), content);
  }
  return {
    name: "disk-batches",
    reads: "batches of disk extents, and the account of blocks behind (src/codec, src/migration)",
    codes: ["batch_invalid"],
    form: "bytes",
    bufferBytesMax: 4 * BODY_BYTES_MAX + 2 * CHANGED_BYTES_MAX + 16 * 2 ** 20,
    testExecutions: 3_000,
    generate: (dice) => encodeDiskBatch(anyBatch(dice)),
    mutate: (input, dice, others) => mutateSealed(input, dice, others),
    run(input) {
      const met = new Set<string>();
      const held = new HeldBlocks(DISKS);
      for (const hasStore of [false, true]) {
        const named = {
          resolve(name: Uint32Array, into: Uint8Array) {
            const content = known.get(nameKey(name));
            if (content !== undefined) into.set(content);
            return content !== undefined;
          },
          arrived: (content: Uint8Array) => assert.equal(content.length, UNIT_BYTES),
        };
        let batch: DiskBatch;
        try {
          batch = decodeDiskBatch(input, DISKS, hasStore ? named : null);
        } catch (thrown) {
          const isMissing = thrown instanceof NamesMissing;
          // Without a store what names contents is refused, and may be read with one.
          if (!isMissing && (hasStore || !(thrown instanceof GatewayError))) throw thrown;
          met.add(isMissing ? "names missing" : "refused without a store");
          continue;
        }
        check(batch);
        held.writing(batch);
        held.written(batch)();
        for (const { kind } of batch.extents) met.add(kind);
      }
      return [...met].sort().join(" ");
    },
  };
}

function check({ disk, extents, contents }: DiskBatch): void {
  assert.ok(disk < DISKS.length);
  assert.ok(extents.length > 0 && extents.length <= DISK_BATCH_EXTENTS_MAX);
  let dataBytes = 0;
  for (const { kind, offsetBytes, lengthBytes } of extents) {
    assert.ok(kind === "data" || kind === "zero");
    assert.ok(offsetBytes >= 0 && lengthBytes > 0 && offsetBytes + lengthBytes <= DISKS[disk]);
    if (kind === "data") dataBytes += lengthBytes;
  }
  assert.equal(dataBytes, contents.length);
}

function anyBatch(dice: Dice) {
  const disk = dice.pick([0, 1, 2, 4]);
  const extents: BatchExtent[] = [];
  for (let count = dice.between(1, 8); count > 0; count--) {
    const kind = dice.pick(["data", "zero", "named"] as const);
    const offsetBytes = UNIT_BYTES * dice.size(DISKS[disk] / UNIT_BYTES - 4);
    const lengthBytes = kind === "zero" && dice.chance(0.3)
      ? DISKS[disk] - offsetBytes
      : kind === "named" || dice.chance(0.7)
      ? UNIT_BYTES * dice.between(1, 3)
      : dice.between(1, 9_000);
    extents.push({ kind, offsetBytes, lengthBytes });
  }
  const contents = new Uint8Array(extents.reduce((sum, each) => sum + contentBytesOf(each), 0));
  let at = 0;
  for (const extent of extents) {
    const bytes = contentBytesOf(extent);
    if (extent.kind === "named") {
      for (let unit = 0; unit < bytes; unit += 32) {
        const content = new Uint8Array(UNIT_BYTES).fill(dice.between(1, 4));
        contents.set(nameBytes(content), at + unit);
      }
    } else contents.subarray(at, at + bytes).fill(dice.below(3));
    at += bytes;
  }
  return { disk, extents: extents as (BatchExtent & Extent)[], contents };
}

function nameOf(content: Uint8Array): string {
  const name = nameBuffer();
  nameContent(content, name);
  return nameKey(name);
}

function nameBytes(content: Uint8Array): Uint8Array {
  const name = nameBuffer();
  nameContent(content, name);
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  name.forEach((word, at) => view.setUint32(4 * at, word));
  return bytes;
}
