import assert from "node:assert/strict";
import fc from "fast-check";
import { createMemoryDecoder } from "../../codec/memory_decoder.ts";
import { createMemoryEncoder } from "../../codec/memory_encoder.ts";
import { GuestModel, LAYOUT, MemoryModel, PAGE, PAGES } from "../../codec/testing/memory_model.ts";
import type { MemorySource } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { PageImage } from "../../image/page_image.ts";
import { memorySpill } from "../../image/testing/memory_spill.ts";
import type { Channel } from "../../link/peer_link.ts";
import { TrafficMeter } from "../traffic.ts";
import { MemoryPump } from "./memory.ts";

/** A stream that gives what it is told to, when it is told to. */
class FedStream {
  readonly #queue: MemoryItem[][] = [];
  #wake = () => {};
  #hasEnded = false;
  #failure: Error | null = null;
  taken = 0;

  feed(items: MemoryItem[]): void {
    this.#queue.push(items);
    this.#wake();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  break(error: Error): void {
    this.#failure = error;
    this.end();
  }

  async *items(): AsyncGenerator<MemoryItem[]> {
    for (;;) {
      while (this.#queue.length > 0) {
        this.taken++;
        yield this.#queue.shift()!;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#hasEnded) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

/** A channel that takes one frame for each turn that it is given. */
class SlowChannel {
  readonly model = new MemoryModel();
  readonly opaque: string[] = [];
  readonly payloads: Uint8Array[] = [];
  isOpen = false;
  readonly #decoder = createMemoryDecoder(openImage);
  #waiting: (() => void)[] = [];

  /** The link takes one frame more. */
  turn(): void {
    this.#waiting.shift()?.();
  }

  open(): void {
    this.isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  send(_type: number, payload: Uint8Array): Promise<number> {
    this.payloads.push(payload);
    const items = this.#decoder.decode(payload);
    for (const item of items) {
      if (item.kind === "opaque") this.opaque.push(new TextDecoder().decode(item.bytes));
    }
    this.model.apply(items);
    if (this.isOpen) return Promise.resolve(0);
    return new Promise((resolve) => this.#waiting.push(() => resolve(0)));
  }
}

function openImage(pageBytes: number): PageImage {
  return new PageImage(pageBytes, 0, memorySpill(pageBytes));
}

function pump({ poolPages = 1000, disable = [] as "duplicate"[], batchBytes = 256 * 1024 } = {}) {
  const stream = new FedStream();
  const channel = new SlowChannel();
  const meter = new TrafficMeter();
  const stopping = new AbortController();
  const encoder = createMemoryEncoder({
    targetBytes: batchBytes,
    memory: { openImage, reachPages: () => Infinity },
    disable,
  });
  const pump = new MemoryPump(stream as unknown as MemorySource, {
    encoder,
    channel: channel as unknown as Channel,
    meter,
    clock: { nowMs: () => 0 },
    poolBytesMax: poolPages * PAGE,
    stop: stopping.signal,
  });
  return { pump, stream, channel, meter, encoder, stopping };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function opaque(text: string): MemoryItem {
  return { kind: "opaque", bytes: new TextEncoder().encode(text) };
}

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
      assert.equal(payloadBytes + savedBytes, rawBytes + saved.zero);
      assert.equal(encoder.totals.offeredBytes + saved.replaced, rawBytes + saved.zero);
    }),
    { numRuns: 40, endOnFailure: true },
  );
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
