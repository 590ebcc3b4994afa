/** Both ends of the copy of disks, joined by frames: what arrives, and what it costs. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { DiskOfferReader } from "../codec/disk_offer.ts";
import { open } from "../codec/envelope.ts";
import { inlineSealer } from "../codec/sealer.ts";
import { totalBytes } from "../core/extents.ts";
import { BLOCK_BYTES, digestBlock } from "../image/block_digest.ts";
import { BLOCK_KNOWN, BLOCK_ZERO, type BlockMap } from "../image/block_map.ts";
import { NAME_BYTES, UNIT_BYTES } from "../image/content_name.ts";
import { DEFAULT_PAGE_LIMITS, PageMemory } from "../image/page_memory.ts";
import type { Channel } from "../link/peer_link.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import { offerDisks } from "./destination/disk_offer.ts";
import { Repairs } from "./destination/repairs.ts";
import type { KeptMemory } from "./kept_images.ts";
import { FrameApplier } from "./destination/frames.ts";
import { HeldBlocks } from "./destination/held_blocks.ts";
import type { Switchable } from "./options.ts";
import { DiskPlanner } from "./source/disk_planner.ts";
import { sendDiskRound } from "./source/disks.ts";
import { SECTOR_BYTES, TestDisk, waitingDisks } from "./testing/disk_world.ts";
import { joinNames, LossyStore } from "./testing/joined_names.ts";
import { TrafficMeter } from "./traffic.ts";

const BLOCK_SECTORS = BLOCK_BYTES / SECTOR_BYTES;

interface Write {
  readonly disk: number;
  readonly sector: number;
  readonly count: number;
  readonly value: number;
}

/** What a case is made of; each part may be nothing. */
interface Plan {
  readonly sectors: readonly number[];
  /** Contents of the source, and then of the destination, before the move. */
  readonly before: readonly Write[];
  readonly prior: readonly Write[];
  /** The destination begins with what the source has, and `prior` on top. */
  readonly wasHere: boolean;
  /** Blocks whose digest the destination knows without reading, by number modulo. */
  readonly recorded: number;
  readonly rounds: readonly {
    readonly writes: readonly Write[];
    readonly stopAfter: number;
    /** Stopped while the last of these frames is packed: it is not sent either. */
    readonly unsent?: boolean;
  }[];
  readonly granularity: number;
  readonly holes: number;
  readonly disable: readonly Switchable[];
  readonly unitDigestsBytes: number;
  /** The destination's site has a store, which loses each so many-th content; null: it has none. */
  readonly storeLosesEach: number | null;
  /** Batches that are packed beside each other; every second one is ready late. */
  readonly ahead: number;
}

const anyWrites = (maxLength: number) =>
  fc.array(
    fc.record({
      disk: fc.nat(1),
      sector: fc.nat(10 * BLOCK_SECTORS),
      count: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.nat(4 * BLOCK_SECTORS)),
      // Few values, so that writes often change nothing; 0 makes zeroes.
      value: fc.nat(2),
    }),
    { maxLength },
  );

const anyPlan: fc.Arbitrary<Plan> = fc.record({
  sectors: fc.array(fc.integer({ min: 1, max: 10 * BLOCK_SECTORS }), {
    minLength: 2,
    maxLength: 2,
  }),
  before: anyWrites(20),
  prior: anyWrites(10),
  wasHere: fc.boolean(),
  recorded: fc.constantFrom(1, 2, 1000),
  rounds: fc.array(
    fc.record({
      writes: anyWrites(8),
      stopAfter: fc.constantFrom(0, 1, 2, 1000, 1000, 1000),
      unsent: fc.boolean(),
    }),
    { maxLength: 4 },
  ),
  granularity: fc.constantFrom(8, BLOCK_SECTORS, BLOCK_SECTORS, BLOCK_SECTORS),
  holes: fc.constantFrom(1, 3, 1000),
  disable: fc.subarray(["zero", "unchanged", "warm"] as Switchable[]),
  unitDigestsBytes: fc.constantFrom(1, 1000, 1_000_000),
  storeLosesEach: fc.constantFrom(null, 2, 5, 1000),
  ahead: fc.constantFrom(1, 2, 3),
});

/** Runs a case to its end and gives what it cost. */
async function copy(plan: Plan) {
  const source = plan.sectors.map((sectors, number) => new TestDisk(`d${number}`, sectors));
  const there = plan.sectors.map((sectors, number) => new TestDisk(`d${number}`, sectors));
  const write = (disks: readonly TestDisk[], writes: readonly Write[]) => {
    for (const { disk, sector, count, value } of writes) disks[disk].write(sector, count, value);
  };
  const sees = (sector: number) => Math.floor(sector / 8) % plan.holes === 0;
  write(source, plan.before);
  if (plan.wasHere) there.forEach((disk, number) => disk.bytes.set(source[number].bytes));
  write(there, plan.prior);

  const sizes = source.map(({ bytes }) => bytes.length);
  const planner = new DiskPlanner(sizes, plan.disable, plan.unitDigestsBytes);
  const held = new HeldBlocks(sizes);
  held.maps.forEach((map, number) => record(map!, there[number], plan.recorded));
  const machine = waitingDisks(there, sees);
  const disks = source.map(({ id, bytes }) => ({
    id,
    sizeBytes: bytes.length,
    allocatedBytes: null,
    format: "raw",
    readOnly: false,
    path: null,
  }));
  const pages = new PageMemory(DEFAULT_PAGE_LIMITS, () => {
    throw new Error("no memory travels here");
  });
  const kept = { take: () => null } as unknown as KeptMemory;
  const memory = { pages, kept, takesOffer: false };
  const repairs = new Repairs(() => Promise.reject(new Error("no memory travels here")));
  const meter = new TrafficMeter();
  const cost = { offeredBytes: 0, sentBytes: 0, neededBytes: 0, meter };
  const link = { lastSent: 0, appliedByPeer: 0 };
  const store = plan.storeLosesEach === null ? null : new LossyStore(plan.storeLosesEach);
  // An earlier machine of the same make has been here.
  for (let at = 0; store !== null && at + UNIT_BYTES <= sizes[0]; at += 3 * UNIT_BYTES) {
    store.put("disk", source[0].bytes.subarray(at, at + UNIT_BYTES));
  }
  const names = store &&
    joinNames(store, { memory: link, disk: link }, (contentCount, payloadBytes) => {
      meter.needed(contentCount, payloadBytes);
      cost.neededBytes += contentCount * (UNIT_BYTES - NAME_BYTES);
    });
  const applier = new FrameApplier(machine, disks, held, memory, repairs, names?.destination);
  if (!plan.disable.includes("warm")) {
    const reader = new DiskOfferReader(planner.maps);
    await offerDisks({
      machine,
      diskIds: disks.map(({ id }) => id),
      maps: held.maps,
      channel: { send: (_, payload) => Promise.resolve(reader.read(payload)).then(() => 0) },
      isOver: () => false,
      failed: (error) => assert.fail(String(error)),
    });
    assert.ok(reader.complete);
    planner.maps.forEach((map, number) => assertTrue(map!, there[number]));
  }

  const round = async (
    whole: boolean,
    writes: readonly Write[],
    stopAfter = Infinity,
    unsent = false,
  ) => {
    const stop = new AbortController();
    const rounds = source.map((disk) => disk.beginRound(whole, plan.granularity, sees));
    for (const { extents } of rounds) cost.offeredBytes += totalBytes(extents);
    let frames = 0;
    let seals = 0;
    let passedBytes = 0;
    const channel: Partial<Channel> = {
      get lastSent() {
        return link.lastSent;
      },
      // Applied later than it is numbered, as over a link, and in this order.
      send: async (type, payload) => {
        const sequence = ++link.lastSent;
        cost.sentBytes += open(payload).contents.byteLength;
        if (frames === 0) write(source, writes);
        if (++frames >= stopAfter) stop.abort();
        await Promise.resolve();
        await applier.disk({ type, sequence, payload });
        link.appliedByPeer = sequence;
        return sequence;
      },
    };
    if (stopAfter === 0) stop.abort();
    const sent = sendDiskRound(rounds, {
      planner,
      disk: (id) => ({ number: id === "d0" ? 0 : 1, sizeBytes: sizes[id === "d0" ? 0 : 1] }),
      channel: channel as Channel,
      meter,
      passed: (_, dataBytes) => passedBytes += dataBytes,
      first: whole,
      names: names?.source.frames.disk,
      sealer: {
        ahead: plan.ahead,
        seal: async (batch) => {
          if (unsent && frames + 1 >= stopAfter) stop.abort();
          const late = ++seals % 2 === 0 && plan.ahead > 1;
          const payload = await inlineSealer.seal(batch);
          if (late) await new Promise<void>((resolve) => setImmediate(resolve));
          return payload;
        },
      },
      stop: stop.signal,
    });
    const kept = await sent.then(() => true, () => false);
    assert.ok(kept || stop.signal.aborted);
    const dataBytes = rounds.reduce((sum, { extents }) => sum + totalBytes(extents, "data"), 0);
    if (kept) assert.equal(passedBytes, dataBytes);
    else assert.ok(passedBytes <= dataBytes);
    if (frames === 0) write(source, writes);
    for (const each of rounds) await each.finish(kept);
    const end = new TextEncoder().encode(JSON.stringify({ round: 1 }));
    assert.equal(
      await applier.disk({ type: FRAME_TYPES.diskRoundEnd, sequence: frames, payload: end }),
      1,
    );
  };
  await round(true, plan.rounds[0]?.writes ?? []);
  for (const { writes, stopAfter, unsent } of plan.rounds.slice(1)) {
    await round(false, writes, stopAfter, unsent);
  }
  await round(false, []);

  for (const [number, { bytes }] of source.entries()) {
    const at = Buffer.compare(bytes, there[number].bytes);
    assert.equal(at, 0, `disk ${number} differs`);
    assertTrue(planner.maps[number]!, there[number]);
    assertTrue(held.maps[number]!, there[number]);
  }
  names?.source.settle();
  assert.equal(names?.source.keptBytes ?? 0, 0, "nothing is kept for frames that are applied");
  return cost;
}

/** Makes a part of a disk's blocks known without a look at them. */
function record(map: BlockMap, { bytes }: TestDisk, modulo: number): void {
  for (let block = 0; block < map.blockCount; block += modulo) {
    const { isZero, digest } = digestBlock(bytes, block * BLOCK_BYTES, map.bytesOf(block));
    if (isZero) map.setRange(block, 1, BLOCK_ZERO);
    else map.setDigest(block, digest);
  }
}

/** What a map says of a disk is so. */
function assertTrue(map: BlockMap, { bytes }: TestDisk): void {
  for (let block = 0; block < map.blockCount; block++) {
    const seen = digestBlock(bytes, block * BLOCK_BYTES, map.bytesOf(block));
    const state = map.stateOf(block);
    if (state === BLOCK_ZERO) assert.ok(seen.isZero, `block ${block} is not zero`);
    if (state === BLOCK_KNOWN) assert.ok(map.hasDigest(block, seen.digest), `block ${block}`);
  }
}

Deno.test("whatever was there before, whatever is written and stopped meanwhile, the disks end equal", async () => {
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => {
      await copy(plan);
    }),
    { numRuns: 100 },
  );
});

Deno.test("sent and saved bytes of the disks are together what the rounds had", async () => {
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => {
      const unstopped = plan.rounds.map((round) => ({ ...round, stopAfter: Infinity }));
      const { offeredBytes, sentBytes, neededBytes, meter } = await copy({
        ...plan,
        rounds: unstopped,
      });
      const { hole, zero, unchanged, warm, duplicate, compression } = meter.saved;
      const left = hole + zero + unchanged + warm + duplicate;
      assert.equal(left + sentBytes + neededBytes, offeredBytes);
      const sum = left + compression + meter.payloadBytes;
      // While frames are mostly description there is nothing that compression has saved.
      if (compression > 0) assert.equal(sum, offeredBytes);
      else assert.ok(sum >= offeredBytes);
      for (const name of plan.disable) assert.equal(meter.saved[name], 0, name);
    }),
    { numRuns: 40 },
  );
});

const SIZE = [8 * BLOCK_SECTORS, BLOCK_SECTORS];
const FULL: Plan = {
  sectors: SIZE,
  before: Array.from({ length: 8 * BLOCK_SECTORS }, (_, sector) => ({
    disk: 0,
    sector,
    count: 1,
    value: sector % 255 + 1,
  })),
  prior: [],
  wasHere: false,
  recorded: 1000,
  rounds: [],
  granularity: BLOCK_SECTORS,
  holes: 1,
  disable: [],
  unitDigestsBytes: 1_000_000,
  storeLosesEach: null,
  ahead: 1,
};
const DISK_BYTES = 8 * BLOCK_BYTES;

Deno.test("of a rewritten block the units that changed travel, and of one written as it was nothing", async () => {
  const writes: Write[] = [
    { disk: 0, sector: 3 * BLOCK_SECTORS + 20, count: 2, value: 200 },
    { disk: 0, sector: 5, count: 1, value: 6 },
  ];
  const { sentBytes, meter } = await copy({ ...FULL, rounds: [{ writes, stopAfter: Infinity }] });
  assert.equal(sentBytes, DISK_BYTES + 4096);
  assert.equal(meter.saved.unchanged, 2 * BLOCK_BYTES - 4096);
});

Deno.test("without its digests of units a rewritten block travels whole", async () => {
  const writes: Write[] = [{ disk: 0, sector: 20, count: 2, value: 200 }];
  const plan = { ...FULL, rounds: [{ writes, stopAfter: Infinity }], unitDigestsBytes: 1 };
  const { sentBytes } = await copy(plan);
  assert.equal(sentBytes, DISK_BYTES + BLOCK_BYTES);
});

Deno.test("a disk that is there but for one block costs that block", async () => {
  const prior: Write[] = [{ disk: 0, sector: 2 * BLOCK_SECTORS, count: 1, value: 77 }];
  const { sentBytes, meter } = await copy({ ...FULL, wasHere: true, prior });
  assert.equal(sentBytes, BLOCK_BYTES);
  assert.equal(meter.saved.warm, 7 * BLOCK_BYTES);
});

Deno.test("what the destination holds where the source has nothing becomes zeroes", async () => {
  const prior: Write[] = [{ disk: 0, sector: 0, count: 4 * BLOCK_SECTORS, value: 9 }];
  const { sentBytes, meter } = await copy({ ...FULL, before: [], prior });
  assert.equal(sentBytes, 0);
  assert.equal(meter.saved.hole, DISK_BYTES + BLOCK_BYTES);
  assert.ok(meter.payloadBytes > 0 && meter.payloadBytes < 100);
});

Deno.test("zeroes inside of what is allocated travel as ranges", async () => {
  const before = FULL.before.filter(({ sector }) => sector % 16 < 8);
  const { sentBytes, meter } = await copy({ ...FULL, before, holes: 1e9 });
  assert.equal(sentBytes, DISK_BYTES / 2);
  assert.ok(meter.saved.zero >= DISK_BYTES / 2);
});

Deno.test("units that the destination's site has travel as names, and what it lost of them is asked for", async () => {
  for (const storeLosesEach of [1000, 4]) {
    // Each unit of the disk's blocks is one of few contents.
    const { sentBytes, neededBytes, meter } = await copy({ ...FULL, storeLosesEach });
    assert.ok(sentBytes < 0.8 * DISK_BYTES, `${sentBytes}`);
    assert.equal(meter.saved.duplicate, DISK_BYTES - sentBytes - neededBytes);
    assert.equal(neededBytes > 0, storeLosesEach === 4);
  }
});

Deno.test("what a batch has named that a stop kept from being sent is given back, and named again", async () => {
  const fill = (block: number): Write[] => [
    { disk: 0, sector: block * BLOCK_SECTORS, count: BLOCK_SECTORS, value: 7 },
  ];
  const { sentBytes, meter } = await copy({
    ...FULL,
    storeLosesEach: 1e9,
    rounds: [
      { writes: fill(1), stopAfter: Infinity },
      { writes: fill(3), stopAfter: Infinity },
      { writes: fill(5), stopAfter: Infinity },
      { writes: [], stopAfter: 1, unsent: true },
    ],
  });
  // Its block went once, as names: of a content that the round before had brought.
  assert.ok(meter.saved.duplicate > 16 * (UNIT_BYTES - NAME_BYTES), `${meter.saved.duplicate}`);
  assert.ok(sentBytes < DISK_BYTES + 2 * BLOCK_BYTES + 4 * UNIT_BYTES, `${sentBytes}`);
});
