import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import type { MemoryItem } from "../guest/memory_items.ts";
import { PageImage } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import { ByteSink } from "./bytes.ts";
import { open, seal } from "./envelope.ts";
import { KEPT_BYTES_MAX } from "./item_kinds.ts";
import type { KnownMemory } from "./known_memory.ts";
import type { Layout } from "./memory_layout.ts";
import { createMemoryDecoder, type MemoryDecoder } from "./memory_decoder.ts";
import { createMemoryEncoder, type MemoryEncoder } from "./memory_encoder.ts";
import { MemoryOfferWriter } from "./memory_offer.ts";
import { PageSpace } from "./page_space.ts";
import { type Technique, TECHNIQUES } from "./techniques.ts";
import {
  GuestModel,
  LAYOUT,
  MemoryModel,
  PAGE,
  PAGES,
  placeOf,
  randomFrom,
} from "./testing/memory_model.ts";
import { WarmIntake } from "./warm_intake.ts";

const isCode = (code: string) => (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === code;
const isRefused = (thrown: unknown) =>
  isCode("batch_invalid")(thrown) || isCode("batch_mismatch")(thrown);

/** Room for the layouts of all tests here. */
const MODEL_PAGES = 6144;

type Keeping = "spill" | "bounded";

function openImage(keeping: Keeping) {
  return () => new PageImage(PAGE, 0, keeping === "spill" ? memorySpill(PAGE) : null);
}

/** What both ends have from the moves before. */
interface Left {
  readonly source: KnownMemory | null;
  readonly destination: KnownMemory | null;
}
const NOTHING: Left = { source: null, destination: null };

interface Settings {
  readonly source?: Keeping;
  readonly destination?: Keeping;
  readonly disable?: readonly Technique[];
}

/** One move of a machine's memory: to a fresh machine, with what is left from the moves before. */
class Attempt {
  readonly encoder: MemoryEncoder;
  readonly decoder: MemoryDecoder;
  readonly model = new MemoryModel(MODEL_PAGES);
  readonly sent: Uint8Array[] = [];

  constructor(
    left: Left,
    { source = "spill", destination = "spill", disable = [] }: Settings = {},
  ) {
    const reach = openImage(destination)().reachPages;
    const warm = left.destination && heardOffer(left.destination, left.source, source);
    this.encoder = createMemoryEncoder({
      memory: { openImage: openImage(source), reachPages: () => reach },
      warm,
      disable,
    });
    this.decoder = createMemoryDecoder(openImage(destination), left.destination);
  }

  send(items: MemoryItem[]): void {
    for (const payload of [...this.encoder.add(items), ...this.encoder.flush()]) {
      this.sent.push(payload);
      this.model.apply(this.decoder.decode(payload));
    }
  }

  get saved(): Record<Technique, number> {
    return this.encoder.totals.saved;
  }

  get sentBytes(): number {
    return this.sent.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Both sides put what they know away. */
  end(): Left {
    const left = { source: this.encoder.release(), destination: this.decoder.release() };
    for (const known of [left.source, left.destination]) while (known?.image.settle()) continue;
    return left;
  }
}

/** The whole offer of what the destination has, as the source hears it. */
function heardOffer(kept: KnownMemory, own: KnownMemory | null, source: Keeping) {
  kept.image.pinHeld();
  const writer = new MemoryOfferWriter(kept.image, new PageSpace(kept.layout).pageCount);
  const intake = new WarmIntake(kept.layout, own, openImage(source));
  while (!writer.isComplete) {
    assert.equal(intake.isComplete, false);
    intake.take({ type: FRAME_TYPES.memoryOffer, payload: writer.next() });
  }
  assert.equal(intake.isComplete, true);
  return intake.release();
}

/** Everything, then some passes over what the machine writes meanwhile. */
function run(attempt: Attempt, guest: GuestModel, passes: number): void {
  guest.touchAll();
  attempt.send([LAYOUT]);
  for (let pass = 0; pass < passes; pass++) {
    attempt.send(guest.dirtyItems());
    attempt.model.assertEquals(guest);
    guest.work(200);
  }
}

const anyKeeping = fc.constantFrom<Keeping>("spill", "bounded");

Deno.test("a fresh machine gets every page, whatever both sides have of it from before", () => {
  let warmBytes = 0;
  fc.assert(
    fc.property(
      fc.nat(),
      fc.record({
        source: anyKeeping,
        destination: anyKeeping,
        disable: fc.subarray([...TECHNIQUES].filter((technique) => technique !== "warm")),
      }),
      fc.array(fc.record({ cutPages: fc.nat(PAGES), forgets: fc.boolean() }), {
        minLength: 1,
        maxLength: 4,
        size: "max",
      }),
      (seed, settings, attempts) => {
        const guest = new GuestModel(seed);
        const random = randomFrom(seed);
        let left = NOTHING;
        for (const { cutPages, forgets } of attempts) {
          const attempt = new Attempt(left, settings);
          attempt.send([LAYOUT]);
          guest.touchAll();
          // Some pages, some of them again, and then it ends.
          for (const item of guest.dirtyItems().slice(0, 1 + cutPages / 32)) attempt.send([item]);
          guest.work(1 + random(400));
          attempt.send(guest.dirtyItems().slice(0, random(10)));
          left = attempt.end();
          if (forgets) left = { source: null, destination: left.destination };
          if (random(3) === 0 && left.destination !== null) {
            for (let i = 0; i < 50; i++) left.destination.image.forget(random(PAGES));
          }
        }
        const last = new Attempt(left, settings);
        run(last, guest, 4);
        const { offeredBytes, payloadBytes, saved } = last.encoder.totals;
        const sum = TECHNIQUES.reduce((sum, technique) => sum + saved[technique], payloadBytes);
        assert.equal(sum, offeredBytes);
        warmBytes += saved.warm;
      },
    ),
    { numRuns: 25, endOnFailure: true },
  );
  assert.ok(warmBytes > 5 * PAGES * PAGE / 4, `${warmBytes}`);
});

Deno.test("pages that are the same as before take a few bytes, changed ones their changes", () => {
  const deltas: number[] = [];
  for (const forgets of [false, true]) {
    const guest = new GuestModel(1);
    const first = new Attempt(NOTHING);
    run(first, guest, 3);
    const left = first.end();
    const second = new Attempt(forgets ? { ...left, source: null } : left);
    guest.touchAll();
    second.send([LAYOUT, ...guest.dirtyItems()]);
    second.model.assertEquals(guest);
    const { saved } = second;
    assert.equal(saved.unchanged, 0, "the machine there has nothing yet");
    assert.ok(saved.warm > PAGES * PAGE / 3, `${saved.warm}`);
    deltas.push(saved.delta);
    assert.ok(second.sentBytes < first.sentBytes / 2, `${second.sentBytes} ${first.sentBytes}`);

    // The content is known here now: what changes from here on is a delta.
    for (let page = 1; page < PAGES; page += 7) guest.write(page, 3);
    const before = saved.delta;
    second.send(guest.dirtyItems());
    second.model.assertEquals(guest);
    assert.ok(saved.delta - before > 40 * PAGE, `${saved.delta - before}`);
  }
  const [withOwn, without] = deltas;
  assert.ok(withOwn > 2 * without, `deltas need this side's copy: ${deltas}`);
});

Deno.test("a kept page is given out once, and is unchanged from then on", () => {
  const guest = new GuestModel(2);
  // Without a spill the source holds its last pages in memory, where a look costs nothing.
  const first = new Attempt(NOTHING, { source: "bounded" });
  run(first, guest, 1);
  guest.touchAll();
  first.send(guest.dirtyItems());
  const second = new Attempt(first.end(), { source: "bounded" });
  guest.touchAll();
  second.send([LAYOUT]);
  const skipped = () => {
    let count = 0;
    for (let page = 0; page < PAGES; page++) {
      const { block, index } = placeOf(page);
      if (second.encoder.skipUnchanged(block, index, guest.page(page))) count++;
    }
    return count;
  };
  assert.equal(skipped(), 0);
  second.send(guest.dirtyItems());
  const { warm } = second.saved;
  assert.ok(warm > 0);
  const before = second.sentBytes;
  guest.touchAll();
  second.send(guest.dirtyItems());
  assert.equal(second.saved.warm, warm);
  assert.equal(second.saved.unchanged, PAGES * PAGE);
  assert.equal(second.sentBytes, before);
  assert.ok(skipped() > 0);
});

Deno.test("content that only waits at the destination is referred to as well", () => {
  const layout: Layout = { ...LAYOUT, blocks: [{ name: "ram", lengthBytes: 64 * PAGE }] };
  const content = (seed: number) => {
    const bytes = new Uint8Array(PAGE);
    const random = randomFrom(seed + 1);
    return bytes.map(() => random(256));
  };
  const page = (index: number, contents: Uint8Array): MemoryItem => ({
    kind: "pages",
    block: 0,
    pageIndexes: Uint32Array.of(index),
    contents,
  });
  for (const destination of ["spill", "bounded"] as const) {
    const first = new Attempt(NOTHING, { destination });
    first.send([layout, page(3, content(3)), page(4, content(4))]);
    const second = new Attempt(first.end(), { destination });
    // Page 3 has moved to 9, page 4 has changed in a word; neither was given out before.
    const changed = content(4);
    changed[17] ^= 1;
    second.send([layout, page(9, content(3)), page(4, changed)]);
    assert.equal(second.saved.duplicate, PAGE);
    assert.ok(second.saved.delta > 0);
    const nine = second.model.memory.subarray(9 * PAGE, 10 * PAGE);
    assert.deepEqual(new Uint8Array(nine), content(3));
    assert.deepEqual(new Uint8Array(second.model.memory.subarray(4 * PAGE, 5 * PAGE)), changed);
    // The original is still there to be given out.
    second.send([page(3, content(3))]);
    assert.equal(second.saved.warm, PAGE);
  }
});

Deno.test("without a spill what was offered is still there after any number of other pages", () => {
  const layout: Layout = { ...LAYOUT, blocks: [{ name: "ram", lengthBytes: 4096 * PAGE }] };
  const pages = (from: number, count: number, seed: number): MemoryItem => ({
    kind: "pages",
    block: 0,
    pageIndexes: Uint32Array.from({ length: count }, (_, i) => from + i),
    contents: Uint8Array.from({ length: count * PAGE }, (_, i) => (i >> 9) * 7 + i * seed),
  });
  const settings = { destination: "bounded" } as const;
  const first = new Attempt(NOTHING, settings);
  first.send([layout, pages(0, 1000, 3)]);
  const left = first.end();
  const offered = left.destination!.image.heldPages;
  assert.ok(offered > 0 && offered <= 128, `${offered}`);
  const second = new Attempt(left, settings);
  second.send([layout, pages(1000, 3000, 5), pages(1000, 3000, 11), pages(0, 1000, 3)]);
  // Given out they count as written: others make room again.
  second.send([pages(1000, 3000, 13)]);
  assert.equal(second.saved.warm, offered * PAGE);
  // And is within the bound again afterwards.
  assert.ok(second.end().destination!.image.heldPages <= 128);
});

Deno.test("another layout makes nothing of what was offered", () => {
  const guest = new GuestModel(4);
  const first = new Attempt(NOTHING);
  run(first, guest, 1);
  const left = first.end();
  const second = new Attempt(left);
  guest.touchAll();
  second.send([{ ...LAYOUT, section: 9 }, ...guest.dirtyItems()]);
  second.model.assertEquals(guest);
  assert.equal(second.saved.warm, 0);
});

Deno.test("a move that ends before its first page leaves what was there", () => {
  const guest = new GuestModel(5);
  const first = new Attempt(NOTHING);
  run(first, guest, 1);
  const left = new Attempt(first.end()).end();
  const third = new Attempt(left);
  run(third, guest, 1);
  assert.ok(third.saved.warm > 0);
});

/** A spill that can be spoilt: what it reads differs in a bit. */
function spoilable() {
  const spill = memorySpill(PAGE);
  const spoilt = new Set<number>();
  return {
    spoilt,
    spill: {
      write: (pages: readonly number[], contents: Uint8Array) => spill.write(pages, contents),
      read(page: number, writeNumber: number, into: Uint8Array) {
        spill.read(page, writeNumber, into);
        if (spoilt.has(page)) into[0] ^= 1;
      },
      get storedBytes() {
        return spill.storedBytes;
      },
      close: () => spill.close(),
    },
  };
}

Deno.test("a kept page that is not what was offered is never given out, and nothing is kept then", () => {
  const guest = new GuestModel(6);
  const { spill, spoilt } = spoilable();
  const first = createMemoryDecoder(() => new PageImage(PAGE, 0, spill));
  const source = new Attempt(NOTHING);
  run(source, guest, 1);
  for (const payload of source.sent) first.decode(payload);
  const kept = first.release()!;
  while (kept.image.settle()) continue;
  const second = new Attempt({ source: source.end().source, destination: kept });
  second.send([LAYOUT]);
  const [item] = guest.items([101, 102, 103]);
  // Nothing but kept pages: no sum over changes looks at them.
  const payloads = [...second.encoder.add([item]), ...second.encoder.flush()];
  assert.equal(second.saved.warm, 3 * PAGE);
  spoilt.add(102);
  for (const _ of [1, 2]) {
    assert.throws(() => second.decoder.decode(payloads[0]), isCode("batch_mismatch"));
  }
  assert.equal(second.decoder.release(), null);
});

/** A real batch with kept pages among others, a decoder that is ready for it, and what it means. */
function keptBatch() {
  const guest = new GuestModel(8);
  const first = new Attempt(NOTHING);
  run(first, guest, 1);
  for (let page = 1; page < PAGES; page += 5) guest.write(page, 9);
  const second = new Attempt(first.end());
  second.send([LAYOUT]);
  guest.touchAll();
  const items = guest.dirtyItems().slice(0, 6);
  const payloads = [...second.encoder.add(items), ...second.encoder.flush()];
  assert.equal(payloads.length, 1);
  assert.ok(second.saved.warm > 0 && second.saved.delta > 0);
  const meant = new MemoryModel();
  meant.apply(items);
  return { payload: payloads[0], decoder: second.decoder, meant };
}

Deno.test("a batch with kept pages whose description is cut at any byte is refused", () => {
  const { payload, decoder, meant } = keptBatch();
  const { contents, description } = open(payload);
  for (let bytes = 0; bytes < description.byteLength; bytes++) {
    const body = new ByteSink();
    body.raw(contents);
    const cut = seal(body, description.subarray(0, bytes), null);
    assert.throws(() => decoder.decode(cut), isRefused, `cut at ${bytes}`);
  }
  // Nothing of all that has changed what the decoder knows.
  const model = new MemoryModel();
  model.apply(decoder.decode(payload));
  assert.ok(model.memory.equals(meant.memory));
});

Deno.test("a batch with kept pages that was tampered with is refused or means what it says", () => {
  const { payload, decoder } = keptBatch();
  const { contents, description } = open(payload);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(description.byteLength - 1), fc.nat(255)), { minLength: 1 }),
      (edits) => {
        const edited = new Uint8Array(description);
        for (const [at, byte] of edits) edited[at] = byte;
        const body = new ByteSink();
        body.raw(contents);
        try {
          for (const item of decoder.decode(seal(body, edited, null))) {
            if (item.kind !== "pages") continue;
            assert.equal(item.contents.byteLength, item.pageIndexes.length * PAGE);
            assert.ok(item.pageIndexes.every((index) => index < PAGES));
          }
        } catch (thrown) {
          if (!isRefused(thrown)) throw thrown;
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** A batch of bare numbers. */
function batchOf(...numbers: number[]): Uint8Array {
  const description = new ByteSink();
  for (const number of numbers) description.varint(number);
  return seal(new ByteSink(), description.view(), null);
}

Deno.test("kept pages are refused where they were not offered, twice, and beyond the limit", () => {
  const layout: Layout = { ...LAYOUT, blocks: [{ name: "ram", lengthBytes: 2 ** 32 }] };
  const image = new PageImage(PAGE, 8192 * PAGE, null);
  const content = new Uint8Array(PAGE).fill(5);
  for (let page = 0; page < 4096; page++) image.set(page, content);
  image.setZero(5000);
  image.set(6000, content);
  const writer = new MemoryOfferWriter(image, new PageSpace(layout).pageCount);
  while (!writer.isComplete) writer.next();
  image.forget(6000);
  const decoder = createMemoryDecoder(openImage("spill"), { layout, image });
  const encoder = createMemoryEncoder();
  for (const payload of [...encoder.add([layout]), ...encoder.flush()]) decoder.decode(payload);

  const most = KEPT_BYTES_MAX / PAGE;
  const refused: Record<string, Uint8Array> = {
    "not offered": batchOf(7, 0, 1, 2 * 7000, 1),
    "offered and forgotten": batchOf(7, 0, 1, 2 * 6000, 1),
    "a zero page": batchOf(7, 0, 1, 2 * 5000, 1),
    "twice in an item": batchOf(7, 0, 2, 0, 3, 1, 1),
    "twice in a batch": batchOf(7, 0, 1, 0, 1, 7, 0, 1, 0, 1),
    "behind zeros of its own": batchOf(3, 0, 1, 0, 1, 7, 0, 1, 0, 1),
    "one too many": batchOf(7, 0, 1, 0, most + 1),
    "far too many": batchOf(7, 0, 1, 0, 2 ** 22),
    "no range": batchOf(7, 0, 0),
    "ranges that do not follow": batchOf(7, 0, 2 ** 40),
    "another block": batchOf(7, 1, 1, 0, 1),
  };
  for (const [what, batch] of Object.entries(refused)) {
    assert.throws(() => decoder.decode(batch), isCode("batch_invalid"), what);
  }
  const items = decoder.decode(batchOf(7, 0, 1, 0, most));
  assert.equal(items.length, 1);
  assert.throws(() => decoder.decode(batchOf(7, 0, 1, 0, 1)), isCode("batch_invalid"), "given out");
});

Deno.test("kept pages without any image are refused", () => {
  const decoder = createMemoryDecoder();
  const encoder = createMemoryEncoder();
  for (const payload of [...encoder.add([LAYOUT]), ...encoder.flush()]) decoder.decode(payload);
  assert.throws(() => decoder.decode(batchOf(7, 0, 1, 0, 1)), isCode("batch_invalid"));
});

Deno.test("the kept pages of one batch stay within the decoder's limit", () => {
  const pages = 3 * KEPT_BYTES_MAX / PAGE;
  const layout: Layout = { ...LAYOUT, blocks: [{ name: "ram", lengthBytes: pages * PAGE }] };
  const contents = new Uint8Array(pages * PAGE).map((_, at) => at >> 9);
  const item: MemoryItem = {
    kind: "pages",
    block: 0,
    pageIndexes: Uint32Array.from({ length: pages }, (_, i) => i),
    contents,
  };
  const first = new Attempt(NOTHING);
  first.send([layout, item]);
  const second = new Attempt(first.end());
  second.send([layout, item]);
  assert.ok(second.sent.length >= 3, `${second.sent.length}`);
  assert.ok(second.saved.warm + second.saved.zero === pages * PAGE);
  assert.ok(second.sentBytes < 2000, `${second.sentBytes}`);
});
