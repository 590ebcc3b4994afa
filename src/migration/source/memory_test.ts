import assert from "node:assert/strict";
import fc from "fast-check";
import { GuestModel, LAYOUT, PAGE, PAGES } from "../../codec/testing/memory_model.ts";
import type { MemorySource } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { Channel } from "../../link/peer_link.ts";
import { MemoryPump } from "./memory.ts";
import { SentPages } from "./sent_pages.ts";
import { fedPump as pump, opaque, settle, SlowSealer } from "./testing/fed_pump.ts";

Deno.test("the destination ends with every page as it was read last, in any order of things", async () => {
  const settings = fc.record({
    seed: fc.nat(),
    poolPages: fc.constantFrom(1, 20, 150, 1000),
    turns: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(settings, async ({ seed, poolPages, turns }) => {
      const guest = new GuestModel(seed);
      const { pump: running, stream, channel, meter, encoder } = pump({ poolPages });
      stream.feed([opaque("begin"), LAYOUT]);
      for (let pass = 0; pass < 12; pass++) {
        for (const item of guest.dirtyItems()) stream.feed([item]);
        guest.work(80);
        for (let i = 0; i < turns; i++) {
          await settle();
          channel.turn();
        }
        assert.ok(running.parkedBytes <= poolPages * PAGE);
      }
      stream.feed([...guest.dirtyItems(), opaque("end")]);
      stream.end();
      channel.open();
      await running.drained;
      channel.model.assertEquals(guest);
      assert.equal(channel.opaque.join(), "begin,end");
      assert.equal(running.parkedBytes, 0);
      const { saved, rawBytes, payloadBytes } = meter;
      const savedBytes = Object.values(saved).reduce((sum, bytes) => sum + bytes, 0);
      assert.equal(running.leftOutBytes, 0);
      assert.equal(payloadBytes + savedBytes, rawBytes + saved.zero);
      assert.equal(encoder.totals.offeredBytes + saved.replaced, rawBytes + saved.zero);
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

Deno.test("batches that are packed beside each other arrive in the encoder's order", async () => {
  const settings = fc.record({
    seed: fc.nat(),
    order: fc.array(fc.nat(7), { minLength: 20, maxLength: 20 }),
    poolPages: fc.constantFrom(20, 150, 1000),
  });
  let underWayMax = 0;
  await fc.assert(
    fc.asyncProperty(settings, async ({ seed, order, poolPages }) => {
      const sealer = new SlowSealer();
      // The clock runs only while batches are packed: the CPU is the limit.
      let nowMs = 0;
      const { pump: running, stream, channel, meter, encoder } = pump({
        poolPages,
        sealer,
        batchBytes: 64 * 1024,
        nowMs: () => nowMs,
      });
      const guest = new GuestModel(seed);
      channel.open();
      stream.feed([opaque("begin"), LAYOUT]);
      let isDone = false;
      void running.drained.then(() => isDone = true);
      for (let turn = 0; !isDone; turn++) {
        if (turn < 12) {
          for (const item of guest.dirtyItems()) stream.feed([item]);
          guest.work(80);
        } else if (turn === 12) {
          stream.feed([...guest.dirtyItems(), opaque("end")]);
          stream.end();
        }
        await settle();
        underWayMax = Math.max(underWayMax, sealer.waitingCount);
        nowMs += 100;
        sealer.turn(order[turn % order.length]);
        await settle();
        const { offeredBytes, payloadBytes, saved } = encoder.totals;
        const savedBytes = Object.values(saved).reduce((sum, bytes) => sum + bytes, 0);
        // What the batch that is still open carries is in neither.
        assert.ok(offeredBytes - payloadBytes - savedBytes >= 0);
      }
      channel.model.assertEquals(guest);
      assert.equal(channel.opaque.join(), "begin,end");
      assert.equal(running.sealingBytes, 0);
      const { saved, rawBytes, payloadBytes } = meter;
      const savedBytes = Object.values(saved).reduce((sum, bytes) => sum + bytes, 0);
      assert.equal(payloadBytes + savedBytes, rawBytes + saved.zero);
    }),
    { numRuns: 20, endOnFailure: true },
  );
  assert.ok(underWayMax > 1, "never more than one at once");
});

Deno.test("a stream that is given up is not silent while a batch of it is being packed", async () => {
  const sealer = new SlowSealer();
  const { pump: running, stream, channel } = pump({ sealer, batchBytes: 64 * 1024 });
  const guest = new GuestModel(9);
  channel.open();
  stream.feed([LAYOUT]);
  await settle();
  sealer.turn();
  await settle();
  stream.feed(guest.dirtyItems());
  await settle();
  const underWay = sealer.waitingCount;
  const before = channel.payloads.length;
  assert.ok(underWay > 0);
  assert.ok(running.sealingBytes > 0);
  let isSilent = false;
  void running.silent.then(() => isSilent = true);
  running.discard();
  stream.break(new Error("broke"));
  await assert.rejects(running.drained, /broke/);
  await settle();
  assert.equal(isSilent, false);
  while (sealer.waitingCount > 0) {
    sealer.turn(1);
    await settle();
  }
  await running.silent;
  assert.ok(channel.payloads.length >= before + underWay, "a batch was lost");
});

Deno.test("pages that the stream never names are left out, and the books hold with them", async () => {
  const settings = fc.record({
    seed: fc.nat(),
    freeRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(settings, async ({ seed, freeRatio }) => {
      const guest = new GuestModel(seed);
      const { pump: running, stream, channel, meter } = pump();
      channel.open();
      const free = new Set<number>();
      for (let page = 0; page < PAGES * freeRatio; page++) free.add(page * 7 % PAGES);
      stream.feed([opaque("begin"), LAYOUT]);
      for (const page of free) guest.leaveOut(page);
      for (const item of guest.dirtyItems()) stream.feed([item]);
      // Some of them are used again: then they travel as any other.
      const usedAgain = [...free].filter((page) => page % 3 === 0);
      for (const page of usedAgain) {
        guest.write(page, 1);
        free.delete(page);
      }
      stream.feed([...guest.dirtyItems(), opaque("end")]);
      stream.end();
      await running.drained;
      assert.equal(running.leftOutBytes, free.size * PAGE);
      for (let page = 0; page < PAGES; page++) {
        if (free.has(page)) continue;
        const there = channel.model.memory.subarray(page * PAGE, (page + 1) * PAGE);
        assert.ok(there.equals(guest.page(page)), `page ${page} differs`);
      }
      meter.leftOut(running.leftOutBytes);
      const { saved, rawBytes, payloadBytes } = meter;
      const savedBytes = Object.values(saved).reduce((sum, bytes) => sum + bytes, 0);
      const offeredBytes = rawBytes + saved.zero + saved.free;
      assert.equal(payloadBytes + savedBytes, offeredBytes);
      const opaqueBytes = "begin".length + "end".length;
      assert.equal(offeredBytes, PAGES * PAGE + opaqueBytes);
    }),
    { numRuns: 30, endOnFailure: true },
  );
});

Deno.test("a stream that was relayed unread in part leaves out nothing that is known", async () => {
  const { pump: running, stream, channel } = pump();
  channel.open();
  stream.feed([LAYOUT, { ...opaque("unknown"), reason: "a new record" } as MemoryItem]);
  stream.end();
  await running.drained;
  assert.equal(running.leftOutBytes, 0);
});

Deno.test("a page written while the link is busy travels once, in its newest version", async () => {
  const { pump: running, stream, channel, meter } = pump();
  const guest = new GuestModel(1);
  stream.feed([LAYOUT]);
  channel.open();
  stream.feed(guest.dirtyItems());
  await settle();
  channel.isOpen = false;
  guest.write(300, 5);
  stream.feed(guest.dirtyItems());
  await settle();
  const frames = channel.payloads.length;
  for (let version = 0; version < 20; version++) {
    guest.write(10, version);
    stream.feed(guest.dirtyItems());
    await settle();
  }
  assert.equal(channel.payloads.length, frames);
  assert.equal(running.parkedBytes, PAGE);
  stream.end();
  channel.open();
  await running.drained;
  assert.equal(channel.payloads.length, frames + 1);
  assert.equal(meter.saved.replaced, 19 * PAGE);
  channel.model.assertEquals(guest);
});

Deno.test("a full pool stops the reading, and room lets it go on", async () => {
  const { pump: running, stream, channel } = pump({ poolPages: 8, disable: ["duplicate"] });
  const guest = new GuestModel(2);
  channel.open();
  stream.feed([LAYOUT]);
  await settle();
  channel.isOpen = false;
  const items = guest.dirtyItems();
  for (const item of items) stream.feed([item]);
  for (let i = 0; i < 20; i++) await settle();
  assert.ok(stream.taken < items.length);
  assert.ok(running.parkedBytes <= 8 * PAGE);
  stream.end();
  channel.open();
  await running.drained;
  channel.model.assertEquals(guest);
});

Deno.test("a page whose old content comes back does not travel", async () => {
  const { pump: running, stream, channel, meter } = pump();
  const guest = new GuestModel(3);
  channel.open();
  stream.feed([LAYOUT, ...guest.dirtyItems()]);
  await settle();
  channel.isOpen = false;
  // The destination has it; the link is kept busy by another page.
  guest.write(397, 1);
  stream.feed(guest.dirtyItems());
  await settle();
  guest.write(398, 9);
  stream.feed(guest.dirtyItems());
  await settle();
  assert.equal(running.parkedBytes, PAGE);
  guest.write(398, 9);
  stream.feed(guest.dirtyItems());
  await settle();
  assert.equal(running.parkedBytes, 0, "parked");
  assert.ok(meter.saved.unchanged > 0);
  stream.end();
  channel.open();
  await running.drained;
  channel.model.assertEquals(guest);
});

Deno.test("a discarded stream sends nothing more of what was parked, and ends", async () => {
  const { pump: running, stream, channel } = pump();
  const guest = new GuestModel(4);
  stream.feed([LAYOUT]);
  for (const item of guest.dirtyItems()) stream.feed([item]);
  await settle();
  const frames = channel.payloads.length;
  running.discard();
  stream.feed([opaque("late")]);
  stream.end();
  channel.open();
  await running.drained;
  assert.ok(channel.payloads.length <= frames + 1);
  assert.deepEqual(channel.opaque, []);
  assert.equal(running.parkedBytes, 0);
});

Deno.test("a stream that breaks is told at once, and is silent only when its last batch is numbered", async () => {
  const { pump: running, stream, channel } = pump({
    batchBytes: 64 * 1024,
    disable: ["duplicate"],
  });
  const guest = new GuestModel(6);
  stream.feed([LAYOUT]);
  stream.feed(guest.dirtyItems());
  await settle();
  channel.turn();
  await settle();
  const waiting = channel.payloads.length;
  assert.ok(waiting > 0, "a batch waits for the link");
  let isSilent = false;
  void running.silent.then(() => isSilent = true);
  stream.break(new Error("broke"));
  await assert.rejects(running.drained, /broke/);
  running.discard();
  await settle();
  assert.equal(isSilent, false, "the batch that waits is not its last");
  channel.open();
  await running.silent;
  const numbered = channel.payloads.length;
  assert.ok(numbered > waiting, "what was encoded with it came after it");
  for (let i = 0; i < 10; i++) await settle();
  assert.equal(channel.payloads.length, numbered);
});

Deno.test("what the link refuses ends the pump, also while the machine is silent", async () => {
  const { pump: running, stream, channel } = pump();
  channel.send = () => Promise.reject(new Error("closed"));
  stream.feed([LAYOUT]);
  await assert.rejects(running.drained, /closed/);
});

Deno.test("a stream that breaks, and a stop, end the pump", async () => {
  const broken = pump();
  broken.stream.items = async function* () {
    yield [LAYOUT];
    await settle();
    throw new Error("broke");
  };
  const again = new MemoryPump(broken.stream as unknown as MemorySource, {
    encoder: broken.encoder,
    channel: broken.channel as unknown as Channel,
    meter: broken.meter,
    sent: new SentPages(),
    clock: { nowMs: () => 0 },
    poolBytesMax: PAGES * PAGE,
    stop: broken.stopping.signal,
  });
  broken.channel.open();
  await assert.rejects(again.drained, /broke/);

  const stopped = pump({ poolPages: 1 });
  const guest = new GuestModel(5);
  stopped.stream.feed([LAYOUT]);
  for (const item of guest.dirtyItems()) stopped.stream.feed([item]);
  await settle();
  stopped.stopping.abort(new Error("stopped"));
  stopped.stream.end();
  stopped.channel.open();
  await assert.rejects(stopped.pump.drained, /stopped/);
});
