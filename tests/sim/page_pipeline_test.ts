import assert from "node:assert/strict";
import { createMemoryDecoder } from "../../src/codec/memory_decoder.ts";
import { createMemoryEncoder } from "../../src/codec/memory_encoder.ts";
import {
  GuestModel,
  LAYOUT,
  MemoryModel,
  PAGE,
  PAGES,
  randomFrom,
} from "../../src/codec/testing/memory_model.ts";
import type { MemorySource } from "../../src/guest/guest.ts";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import { PageImage } from "../../src/image/page_image.ts";
import { memorySpill } from "../../src/image/testing/memory_spill.ts";
import type { Channel } from "../../src/link/peer_link.ts";
import { MemoryPump } from "../../src/migration/source/memory.ts";
import { SentPages } from "../../src/migration/source/sent_pages.ts";
import { TrafficMeter } from "../../src/migration/traffic.ts";

/** Writes of the machine's that reach a stream, over all cases. */
const UPDATES = 1_000_000;
/** Of one stream and the next: less than a pass brings, and room for several. */
const POOL_PAGES = [40, 300];
const WRITES_OF_PASS = [250, 100];

interface Case {
  readonly name: string;
  readonly seed: number;
  /** Whether each end keeps all contents, or those that fit. */
  readonly sourceSpills: boolean;
  readonly destinationSpills: boolean;
}

const CASES: readonly Case[] = [
  { name: "both ends spill", seed: 1, sourceSpills: true, destinationSpills: true },
  { name: "the source forgets", seed: 2, sourceSpills: false, destinationSpills: true },
  { name: "the destination forgets", seed: 3, sourceSpills: true, destinationSpills: false },
  { name: "both forget", seed: 4, sourceSpills: false, destinationSpills: false },
];

/**
 * Carries frames like a session over several connections: some overtake others, and when a connection
 * is lost everything that was not acknowledged is sent again. They are applied once, in order.
 */
class Carried {
  readonly model = new MemoryModel();
  frames = 0;
  reconnects = 0;
  #nextNumber = 1;
  #applied = 0;
  readonly #flying: { number: number; payload: Uint8Array }[] = [];
  readonly #arrived = new Map<number, Uint8Array>();
  readonly #unacknowledged = new Map<number, Uint8Array>();
  #senders: (() => void)[] = [];
  readonly #decoder;

  constructor(
    private readonly random: (below: number) => number,
    openImage: (pageBytes: number) => PageImage,
  ) {
    this.#decoder = createMemoryDecoder(openImage);
  }

  send(_type: number, payload: Uint8Array): Promise<number> {
    const number = this.#nextNumber++;
    this.frames++;
    this.#unacknowledged.set(number, payload);
    this.#flying.push({ number, payload });
    if (this.#flying.length < 4) return Promise.resolve(number);
    return new Promise((resolve) => this.#senders.push(() => resolve(number)));
  }

  /** Some time passes. */
  step(): void {
    if (this.random(60) === 0) {
      // The connection is lost: frames may have arrived whose acknowledgement did not.
      this.reconnects++;
      this.#flying.length = 0;
      for (const [number, payload] of this.#unacknowledged) this.#flying.push({ number, payload });
    }
    for (let arrivals = this.random(4); arrivals > 0 && this.#flying.length > 0; arrivals--) {
      const [{ number, payload }] = this.#flying.splice(this.random(this.#flying.length), 1);
      if (number > this.#applied) this.#arrived.set(number, payload);
    }
    this.#apply();
    if (this.#flying.length < 4) { for (const go of this.#senders.splice(0)) go(); }
  }

  get isEmpty(): boolean {
    return this.#flying.length === 0;
  }

  #apply(): void {
    for (;;) {
      const payload = this.#arrived.get(this.#applied + 1);
      if (payload === undefined) return;
      this.#applied++;
      this.#arrived.delete(this.#applied);
      this.model.apply(this.#decoder.decode(payload));
      // Acknowledgements are late, and come for several frames at once.
      if (this.random(3) > 0) continue;
      for (const number of this.#unacknowledged.keys()) {
        if (number <= this.#applied) this.#unacknowledged.delete(number);
      }
    }
  }
}

/** A stream whose items are made when they are read, as a machine's passes are. */
class Passes {
  writes = 0;
  #left: number;
  #isCancelled = false;

  constructor(
    private readonly guest: GuestModel,
    passes: number,
    private readonly writesOfPass: number,
  ) {
    this.#left = passes;
    guest.touchAll();
  }

  cancel(): void {
    this.#isCancelled = true;
  }

  async *items(): AsyncGenerator<MemoryItem[]> {
    yield [LAYOUT];
    while (!this.#isCancelled && this.#left-- > 0) {
      for (const item of this.guest.dirtyItems()) {
        if (this.#isCancelled) return;
        yield [item];
      }
      this.guest.work(this.writesOfPass);
      this.writes += this.writesOfPass;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (!this.#isCancelled) yield this.guest.dirtyItems();
  }
}

async function run({ seed, sourceSpills, destinationSpills }: Case, updates: number) {
  const random = randomFrom(seed);
  const open = (spills: boolean) => (pageBytes: number) =>
    new PageImage(pageBytes, 0, spills ? memorySpill(pageBytes) : null);
  const { reachPages } = open(destinationSpills)(PAGE);
  const channel = new Carried(random, open(destinationSpills));
  const encoder = createMemoryEncoder({
    memory: { openImage: open(sourceSpills), reachPages: () => reachPages },
  });
  const guest = new GuestModel(seed);
  const meter = new TrafficMeter();
  let writes = 0;
  let resets = 0;
  let parkedMax = 0;
  for (let stream = 0; writes < updates; stream++) {
    const passes = new Passes(guest, 50 + random(200), WRITES_OF_PASS[stream % 2]);
    const isCancelled = random(3) === 0;
    const pump = new MemoryPump(passes as unknown as MemorySource, {
      encoder,
      channel: channel as unknown as Channel,
      meter,
      sent: new SentPages(),
      clock: { nowMs: () => 0 },
      poolBytesMax: POOL_PAGES[stream % 2] * PAGE,
      stop: new AbortController().signal,
    });
    let isDone = false;
    void pump.drained.finally(() => isDone = true).catch(() => {});
    while (!isDone || !channel.isEmpty) {
      if (stream % 2 === 0) parkedMax = Math.max(parkedMax, pump.parkedBytes);
      if (isCancelled && random(200) === 0) {
        passes.cancel();
        pump.discard();
      }
      channel.step();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await pump.drained;
    writes += passes.writes;
    if (isCancelled) resets++;
    else channel.model.assertEquals(guest);
  }
  return { writes, resets, parkedMax, channel, meter };
}

for (const each of CASES) {
  Deno.test(`memory is the same at both ends after many writes, resets and reconnects: ${each.name}`, async () => {
    const { writes, resets, parkedMax, channel, meter } = await run(each, UPDATES / CASES.length);
    assert.ok(writes >= UPDATES / CASES.length);
    assert.ok(resets > 0 && channel.reconnects > 10, `${resets} ${channel.reconnects}`);
    assert.equal(parkedMax, POOL_PAGES[0] * PAGE, "the pool was never full");
    for (const name of ["zero", "unchanged", "delta", "duplicate", "replaced"] as const) {
      assert.ok(meter.saved[name] > PAGES * PAGE, name);
    }
  });
}
