import assert from "node:assert/strict";
import { DiskOfferReader, endOfOffer, offerBlocks } from "../../../codec/disk_offer.ts";
import { BODY_BYTES_MAX } from "../../../codec/envelope.ts";
import { MemoryOfferWriter } from "../../../codec/memory_offer.ts";
import { decodeNeed, decodeNeeded, encodeNeed, encodeNeeded } from "../../../codec/need_frames.ts";
import { NEED_NAMES_MAX } from "../../../codec/need_frames.ts";
import { encodeStoreOffer, OFFER_HINTS_MAX } from "../../../codec/store_offer.ts";
import { plausibleLayout, WarmIntake } from "../../../codec/warm_intake.ts";
import { LAYOUT, PAGE, PAGES } from "../../../codec/testing/memory_model.ts";
import { BLOCK_UNKNOWN, BLOCK_ZERO, BlockMap } from "../../../image/block_map.ts";
import { UNIT_BYTES } from "../../../image/content_name.ts";
import { PageImage } from "../../../image/page_image.ts";
import { memorySpill } from "../../../image/testing/memory_spill.ts";
import { OfferedHints } from "../../../migration/source/offered_hints.ts";
import { PAYLOAD_BYTES_MAX } from "../../../wire/limits.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { joinParts, mutateParts, splitParts, tagged } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";
import { mutateSealed } from "./envelope.ts";

const PARTS_MAX = 32;

/** Targets of several payloads are changed in the same way. */
function mutate(input: Uint8Array, dice: Dice, others: readonly Uint8Array[]): Uint8Array {
  const parts = others.slice(-6).flatMap((other) => splitParts(other, PARTS_MAX));
  return mutateParts(
    input,
    dice,
    (part) => mutateBytes(part, dice, parts),
    () => parts.length > 0 ? dice.pick(parts) : dice.bytes(8),
  );
}

/** The offer of a machine's memory from before, as the source hears it. */
export function memoryOffer(): FuzzTarget {
  return {
    name: "memory-offer",
    reads: "the destination's offer of memory from before (src/codec/memory_offer.ts)",
    codes: ["batch_invalid", "frame_invalid"],
    form: "bytes",
    bufferBytesMax: 8 * 2 ** 20,
    testExecutions: 3_000,
    generate(dice) {
      const image = new PageImage(PAGE, 0, memorySpill(PAGE));
      for (let page = 0; page < PAGES; page++) {
        const what = dice.below(4);
        if (what === 0) image.setZero(page);
        else if (what < 3) image.set(page, dice.bytes(PAGE));
      }
      const writer = new MemoryOfferWriter(image, PAGES);
      const parts: Uint8Array[] = [];
      while (!writer.isComplete) parts.push(writer.next());
      return joinParts(parts);
    },
    mutate,
    run(input) {
      const layout = plausibleLayout(LAYOUT, PAGES * PAGE);
      assert.ok(layout !== null);
      const image = new PageImage(PAGE, 0, null);
      const intake = new WarmIntake(layout, null, () => image);
      for (const payload of splitParts(input, PARTS_MAX)) intake.take({ type: 18, payload });
      const met = new Set<number>();
      for (let page = 0; page < PAGES; page++) met.add(image.stateOf(page));
      const { isComplete } = intake;
      intake.release();
      return `${isComplete ? "complete" : "open"} ${[...met].sort().join(" ")}`;
    },
  };
}

/** The offer of what disks hold. */
export function diskOffer(): FuzzTarget {
  const sizes = [10 * 65_536, 40 * 2 ** 30, 2 ** 44];
  return {
    name: "disk-offer",
    reads: "the destination's offer of what its disks hold (src/codec/disk_offer.ts)",
    codes: ["batch_invalid"],
    form: "bytes",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 4_000,
    generate(dice) {
      const parts: Uint8Array[] = [];
      let map: BlockMap | null = null;
      for (const [disk, size] of sizes.entries()) {
        map = new BlockMap(size);
        const digest = Uint32Array.of(1, 2, 3, 4);
        for (let times = dice.below(6); times > 0; times--) {
          const first = dice.below(Math.min(map.blockCount, 2_000));
          if (dice.chance(0.5)) map.setDigest(first, digest);
          else map.setRange(first, 1, dice.pick([BLOCK_ZERO, BLOCK_UNKNOWN]));
        }
        parts.push(...offerBlocks(disk, map));
      }
      return joinParts([...parts, endOfOffer(sizes.length - 1, map)]);
    },
    mutate,
    run(input) {
      const maps = [...sizes.map((size) => new BlockMap(size)), null];
      const reader = new DiskOfferReader(maps);
      for (const payload of splitParts(input, PARTS_MAX)) reader.read(payload);
      return reader.complete ? "complete" : "open";
    },
  };
}

/** The offer of what the site's store has. */
export function storeOffer(): FuzzTarget {
  return {
    name: "store-offer",
    reads: "the destination's offer of what may be named (src/codec/store_offer.ts)",
    codes: ["batch_invalid", "frame_invalid"],
    form: "bytes",
    bufferBytesMax: PARTS_MAX * 8 * OFFER_HINTS_MAX,
    testExecutions: 4_000,
    generate(dice) {
      const hints = Array.from({ length: dice.size(3_000) }, () => dice.number() % 2 ** 48);
      return joinParts([...encodeStoreOffer(Float64Array.from(new Set(hints)).sort())]);
    },
    mutate,
    run(input) {
      const offered = new OfferedHints();
      for (const payload of splitParts(input, PARTS_MAX)) offered.add(payload);
      assert.ok(offered.count <= OFFER_HINTS_MAX);
      assert.equal(offered.has(2 ** 48), false);
      return `${offered.isComplete ? "complete" : "open"} ${offered.count > 0}`;
    },
  };
}

/** NEED and its answer. */
export function needFrames(): FuzzTarget {
  return {
    name: "need-frames",
    reads:
      "requests for named contents and their answers, at either side (src/codec/need_frames.ts)",
    codes: ["batch_invalid"],
    form: "bytes",
    bufferBytesMax: 2 * BODY_BYTES_MAX + PAYLOAD_BYTES_MAX,
    testExecutions: 4_000,
    generate(dice) {
      const count = dice.chance(0.9) ? dice.size(6) + 1 : NEED_NAMES_MAX;
      const names = Array.from({ length: count }, () => new Uint32Array(8).fill(dice.number()));
      const channel = dice.pick(["memory", "disk"] as const);
      const number = dice.number() % 2 ** 32;
      const contents = names.map(() => dice.bytes(UNIT_BYTES));
      return dice.chance(0.5)
        ? tagged(0, encodeNeed({ channel, number, names }))
        : tagged(1, encodeNeeded(number, contents));
    },
    mutate(input, dice, others) {
      const payload = input.subarray(1);
      const bodies = others.slice(-6).map((other) => other.subarray(1));
      const changed = input[0] === 1
        ? mutateSealed(payload, dice, bodies)
        : mutateBytes(payload, dice, bodies);
      return tagged(input[0] ?? 0, changed);
    },
    run(input) {
      const payload = input.subarray(1);
      if (input[0] !== 1) {
        const { channel, names } = decodeNeed(payload);
        assert.ok(names.length > 0 && names.length <= NEED_NAMES_MAX);
        return `need on ${channel}`;
      }
      const { contents } = decodeNeeded(payload);
      assert.ok(contents.length <= BODY_BYTES_MAX / UNIT_BYTES);
      for (const content of contents) assert.equal(content.length, UNIT_BYTES);
      return `needed ${Math.min(2, contents.length)}`;
    },
  };
}
