import assert from "node:assert/strict";
import { encodeDiskBatch } from "../../../codec/disk_batch.ts";
import { BODY_BYTES_MAX } from "../../../codec/envelope.ts";
import { CHANGED_BYTES_MAX } from "../../../codec/item_kinds.ts";
import { createMemoryEncoder } from "../../../codec/memory_encoder.ts";
import { decodeNeed, encodeNeeded } from "../../../codec/need_frames.ts";
import { GuestModel, LAYOUT } from "../../../codec/testing/memory_model.ts";
import type { DestinationSide, DiskDescription } from "../../../guest/guest.ts";
import { UNIT_BYTES } from "../../../image/content_name.ts";
import { DEFAULT_PAGE_LIMITS, PageMemory } from "../../../image/page_memory.ts";
import { memorySpill } from "../../../image/testing/memory_spill.ts";
import type { Channel } from "../../../link/peer_link.ts";
import { FrameApplier } from "../../../migration/destination/frames.ts";
import { HeldBlocks } from "../../../migration/destination/held_blocks.ts";
import { MoveNames } from "../../../migration/destination/names.ts";
import { Repairs } from "../../../migration/destination/repairs.ts";
import { encodeReset } from "../../../migration/memory_reset.ts";
import { FRAME_TYPES } from "../../../wire/frame_types.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { joinParts, mutateParts, splitParts, tagged } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";
import { mutateSealed } from "./envelope.ts";
import { checkItems } from "./memory_items.ts";

const FRAMES_MAX = 24;
const DISKS: readonly DiskDescription[] = [2 ** 20, 5 * 65_536 + 100].map((sizeBytes, i) => ({
  id: `disk${i}`,
  sizeBytes,
  allocatedBytes: null,
  format: "raw",
  readOnly: false,
  path: null,
}));

/** Channel by the first byte of a part: 0 memory, 1 disk, 2 what the source answers to a NEED. */
const ANSWER = 2;

/** What applies the frames of a move, between a peer that sends anything and a machine. */
export function moveFrames(): FuzzTarget {
  return {
    name: "move-frames",
    reads: "frames of a move's memory and disk channels, and answers to a NEED (src/migration)",
    codes: ["batch_invalid", "batch_mismatch", "frame_invalid"],
    form: "bytes",
    bufferBytesMax: FRAMES_MAX * (4 * BODY_BYTES_MAX + 2 * CHANGED_BYTES_MAX),
    heapBytesMax: 256 * 2 ** 20,
    testExecutions: 600,
    generate: (dice) =>
      joinParts(Array.from({ length: dice.between(1, 8) }, () => anyFrame(dice)).flat()),
    mutate: (input, dice, others) => {
      const frames = others.slice(-3).flatMap((other) => splitParts(other, FRAMES_MAX));
      return mutateParts(
        input,
        dice,
        (frame) => changed(frame, dice, frames),
        () => frames.length > 0 ? dice.pick(frames) : anyFrame(dice)[0],
      );
    },
    run: (input) => apply(splitParts(input, FRAMES_MAX)),
  };
}

function frame(channel: number, type: number, payload: Uint8Array): Uint8Array {
  return tagged(channel, tagged(type, payload));
}

function anyFrame(dice: Dice): Uint8Array[] {
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  switch (dice.below(6)) {
    case 0:
      return [frame(0, FRAME_TYPES.memoryReset, encodeReset(dice.below(3)))];
    case 1:
      return [frame(1, FRAME_TYPES.diskRoundEnd, json({ round: dice.between(1, 3) }))];
    case 2:
      return [frame(ANSWER, 0, encodeNeeded(dice.between(1, 3), [dice.bytes(UNIT_BYTES)]))];
    case 3: {
      const guest = new GuestModel(dice.below(3));
      const encoder = createMemoryEncoder();
      const payloads = [...encoder.add([LAYOUT, ...guest.dirtyItems()]), ...encoder.flush()];
      return payloads.map((payload) => frame(0, FRAME_TYPES.memoryBatch, payload));
    }
    case 4: {
      // Names that nobody here knows.
      const extents = [{ kind: "named" as const, offsetBytes: 0, lengthBytes: UNIT_BYTES }];
      const batch = { disk: 0, extents, contents: dice.bytes(32) };
      return [frame(1, FRAME_TYPES.diskBatch, encodeDiskBatch(batch))];
    }
    default: {
      const contents = dice.bytes(dice.size(9_000) + 1);
      const offsetBytes = dice.below(2 ** 20 - contents.length);
      const extents = [{ kind: "data" as const, offsetBytes, lengthBytes: contents.length }];
      const batch = encodeDiskBatch({ disk: 0, extents, contents });
      return [frame(1, FRAME_TYPES.diskBatch, batch)];
    }
  }
}

function changed(input: Uint8Array, dice: Dice, others: readonly Uint8Array[]): Uint8Array {
  const [channel = 0, type = 0] = input;
  const payload = input.subarray(2);
  const isBatch = type === FRAME_TYPES.memoryBatch || type === FRAME_TYPES.diskBatch ||
    channel === ANSWER;
  if (dice.chance(0.1)) return mutateBytes(input, dice, others);
  const payloads = others.map((other) => other.subarray(2));
  return frame(
    channel,
    type,
    isBatch ? mutateSealed(payload, dice, payloads) : mutateBytes(payload, dice, payloads),
  );
}

async function apply(parts: readonly Uint8Array[]): Promise<string> {
  const met = new Set<string>();
  const answers = parts.filter((part) => part[0] === ANSWER).map((part) => part.subarray(2));
  const pages = new PageMemory(DEFAULT_PAGE_LIMITS, memorySpill);
  const kept = { take: () => null, keep: () => assert.fail("kept"), noRoom: () => {} };
  const repairs: Repairs = new Repairs((number) => {
    met.add("repair");
    repairs.heard(number);
    return Promise.resolve();
  });
  const store = {
    bytesMax: 2 ** 20,
    keepsMemory: true,
    offer: () => new Float64Array(),
    get: () => false,
    put: () => {},
    release: () => {},
  };
  const applier = new FrameApplier(
    machine(met),
    DISKS,
    new HeldBlocks(DISKS.map(({ sizeBytes }) => sizeBytes)),
    { pages, kept, takesOffer: false },
    repairs,
    new MoveNames(store, answering(answers), () => {}),
  );
  let sequence = 0;
  try {
    for (const part of parts) {
      const [channel, type = 0] = part;
      const next = { type, sequence: ++sequence, payload: part.subarray(2) };
      if (channel === 0) await applier.memory(next);
      if (channel === 1 && await applier.disk(next) !== null) met.add("round");
    }
  } finally {
    applier.letGoOfMemory(null);
  }
  return [...met].sort().join(" ");
}

/** A source that answers each NEED by the next answer of the input, at last by nothing. */
function answering(answers: Uint8Array[]): Channel {
  let handler: Parameters<Channel["receive"]>[0] = () => Promise.resolve();
  return {
    receive: (given: typeof handler) => handler = given,
    send: (_type: number, payload: Uint8Array) => {
      const { number } = decodeNeed(payload);
      const answer = answers.shift() ?? encodeNeeded(number, []);
      void handler({ type: FRAME_TYPES.pageResponse, sequence: 1, payload: answer });
      // An answer to another NEED leaves this one open: the peer says in the end that it has nothing.
      void handler({
        type: FRAME_TYPES.pageResponse,
        sequence: 2,
        payload: encodeNeeded(number, []),
      });
      return Promise.resolve(1);
    },
  } as unknown as Channel;
}

/** A machine that insists on what it was promised. */
function machine(met: Set<string>): DestinationSide {
  let layout: Parameters<typeof checkItems>[1] = null;
  const inside = (id: string, offsetBytes: number, lengthBytes: number) => {
    const disk = DISKS.find((each) => each.id === id)!;
    assert.ok(offsetBytes >= 0 && lengthBytes > 0 && offsetBytes + lengthBytes <= disk.sizeBytes);
    return Promise.resolve();
  };
  return {
    writeMemory(items: Parameters<typeof checkItems>[0]) {
      const checked = checkItems(items, layout);
      layout = checked.layout;
      for (const kind of checked.kinds) met.add(kind);
      return Promise.resolve();
    },
    resetMemory() {
      met.add("reset");
      return Promise.resolve();
    },
    writeDisk: (id: string, at: number, bytes: Uint8Array) => inside(id, at, bytes.length),
    zeroDisk: inside,
    flushDisks: () => Promise.resolve(),
  } as unknown as DestinationSide;
}
