import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import type { MemoryItem } from "../guest/memory_items.ts";
import { PageImage } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { ByteSink } from "./bytes.ts";
import { open, seal } from "./envelope.ts";
import { CHANGED_BYTES_MAX } from "./item_kinds.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import { createMemoryEncoder, type MemoryEncoderOptions } from "./memory_encoder.ts";
import { type Technique, TECHNIQUES } from "./techniques.ts";
import { GuestModel, LAYOUT, MemoryModel, PAGE, PAGES } from "./testing/memory_model.ts";

const isCode = (code: string) => (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === code;

/** Where contents go at one end: with a spill everything is kept, without one what fits. */
type Keeping = "spill" | "bounded";

function openImage(keeping: Keeping) {
  return () => new PageImage(PAGE, 0, keeping === "spill" ? memorySpill(PAGE) : null);
}

/** Both ends of a channel, with the machine's memory as the destination has it. */
function channel(
  { source = "spill" as Keeping, destination = "spill" as Keeping, disable = [] as Technique[] } =
    {},
  options: MemoryEncoderOptions = {},
) {
  const reach = openImage(destination)().reachPages;
  const memory = { openImage: openImage(source), reachPages: () => reach };
  const encoder = createMemoryEncoder({ memory, disable, ...options });
  const decoder = createMemoryDecoder(openImage(destination));
  const model = new MemoryModel();
  const sent: Uint8Array[] = [];
  const send = (items: MemoryItem[]) => {
    for (const payload of [...encoder.add(items), ...encoder.flush()]) {
      sent.push(payload);
      model.apply(decoder.decode(payload));
    }
  };
  return { encoder, decoder, model, sent, send };
}

function assertAccounts({ offeredBytes, payloadBytes, saved }: {
  offeredBytes: number;
  payloadBytes: number;
  saved: Record<Technique, number>;
}): void {
  const sum = TECHNIQUES.reduce((sum, technique) => sum + saved[technique], payloadBytes);
  assert.equal(sum, offeredBytes);
}

const anyKeeping = fc.constantFrom<Keeping>("spill", "bounded");
const anyDisabled = fc.subarray([...TECHNIQUES]);
const anySeed = fc.nat();

Deno.test("the destination has every page as the source wrote it last, whatever is switched off", () => {
  fc.assert(
    fc.property(
      anySeed,
      fc.record({ source: anyKeeping, destination: anyKeeping, disable: anyDisabled }),
      (seed, settings) => {
        const { encoder, model, send } = channel(settings);
        const guest = new GuestModel(seed);
        send([LAYOUT]);
        for (let pass = 0; pass < 6; pass++) {
          send(guest.dirtyItems());
          model.assertEquals(guest);
          guest.work(200);
        }
        assertAccounts(encoder.totals);
        for (const technique of settings.disable) {
          assert.equal(encoder.totals.saved[technique] > 0, false, technique);
        }
      },
    ),
    { numRuns: 25, endOnFailure: true },
  );
});

Deno.test("every technique saves something on a machine that gives it the occasion", () => {
  const { encoder, send } = channel();
  const guest = new GuestModel(1);
  send([LAYOUT]);
  for (let pass = 0; pass < 10; pass++) {
    send(guest.dirtyItems());
    guest.work(200);
  }
  for (const technique of TECHNIQUES) {
    // Nothing is there from before: src/codec/warm_memory_test.ts.
    if (technique !== "warm") assert.ok(encoder.totals.saved[technique] > 0, technique);
  }
});

Deno.test("a page that did not change takes no byte", () => {
  for (const source of ["spill", "bounded"] as const) {
    const { encoder, sent, send } = channel({ source });
    const guest = new GuestModel(2);
    send([LAYOUT]);
    send(guest.dirtyItems());
    const before = sent.length;
    guest.touchAll();
    send(guest.dirtyItems());
    assert.equal(sent.length, before);
    assert.equal(encoder.totals.saved.unchanged, PAGES * PAGE);
  }
});

Deno.test("a page of a destination that keeps no image travels whole or not at all", () => {
  const memory = { openImage: openImage("spill"), reachPages: () => 0 };
  const { encoder, send, model } = channel({}, { memory });
  const guest = new GuestModel(3);
  send([LAYOUT]);
  for (let pass = 0; pass < 4; pass++) {
    send(guest.dirtyItems());
    guest.work(200);
  }
  send(guest.dirtyItems());
  model.assertEquals(guest);
  assert.equal(encoder.totals.saved.delta + encoder.totals.saved.duplicate, 0);
  assert.ok(encoder.totals.saved.unchanged > 0);
});

Deno.test("a layout that changes begins with nothing known, the same one goes on", () => {
  const { encoder, model, send } = channel();
  const guest = new GuestModel(4);
  send([LAYOUT]);
  send(guest.dirtyItems());
  guest.touchAll();
  send([LAYOUT, ...guest.dirtyItems()]);
  assert.equal(encoder.totals.saved.unchanged, PAGES * PAGE);
  guest.touchAll();
  send([{ ...LAYOUT, section: 7 }, ...guest.dirtyItems()]);
  assert.equal(encoder.totals.saved.unchanged, PAGES * PAGE);
  model.assertEquals(guest);
});

Deno.test("a zero page that the machine did not call one travels alone", () => {
  const { encoder, model, send } = channel();
  const contents = new Uint8Array(PAGE);
  send([LAYOUT, { kind: "pages", block: 0, pageIndexes: Uint32Array.of(3), contents }]);
  assert.deepEqual(model.memory.subarray(3 * PAGE, 4 * PAGE), Buffer.alloc(PAGE));
  assert.equal(encoder.totals.saved.zero, PAGE);
});

Deno.test("a forgotten page travels whole", () => {
  const { encoder, model, send } = channel();
  const guest = new GuestModel(5);
  send([LAYOUT]);
  send(guest.dirtyItems());
  encoder.forget([0, 3]);
  guest.touchAll();
  const before = encoder.totals.saved.unchanged;
  send(guest.dirtyItems());
  assert.equal(encoder.totals.saved.unchanged - before, (PAGES - 3) * PAGE);
  model.assertEquals(guest);
});

Deno.test("an encoder tells for each batch which pages it changes, and forgetting them sends just these", () => {
  const { encoder, model, send } = channel();
  const guest = new GuestModel(6);
  send([LAYOUT, ...guest.dirtyItems()]);
  const touched = () => [...encoder.numbered(1)].reduce((sum, n, i) => sum + (i % 2 ? n : 0), 0);
  assert.ok(touched() > 0);
  assert.equal(touched(), 0);
  guest.write(3, 1);
  guest.write(4, 2);
  guest.write(PAGES - 1, 3);
  send(guest.dirtyItems());
  const ranges = [...encoder.numbered(1)];
  assert.deepEqual(ranges, [3, 2, PAGES - 1, 1]);
  encoder.forget([...ranges, PAGES, 1000]);
  guest.touchAll();
  const before = encoder.totals.saved.unchanged;
  send(guest.dirtyItems());
  assert.equal(encoder.totals.saved.unchanged - before, (PAGES - 3) * PAGE);
  model.assertEquals(guest);
});

Deno.test("the changes of one batch stay within the decoder's limit", () => {
  const pages = CHANGED_BYTES_MAX / PAGE * 2;
  const layout = { ...LAYOUT, blocks: [{ name: "ram", lengthBytes: pages * PAGE }] };
  const { encoder, decoder } = channel();
  const contents = new Uint8Array(pages * PAGE).fill(7);
  const pageIndexes = Uint32Array.from({ length: pages }, (_, i) => i);
  const sent = [
    ...encoder.add([layout, { kind: "pages", block: 0, pageIndexes, contents }]),
    ...encoder.flush(),
  ];
  const items = sent.flatMap((payload) => decoder.decode(payload));
  const rebuilt = items.flatMap((item) => item.kind === "pages" ? [...item.pageIndexes] : []);
  assert.deepEqual(rebuilt, [...pageIndexes]);
  assert.ok(sent.length >= 2);
  assert.ok(sent.reduce((sum, { byteLength }) => sum + byteLength, 0) < 100_000, "duplicates");
});

Deno.test("a page rebuilt from another copy than the source's is a batch_mismatch without effect", () => {
  const guest = new GuestModel(6);
  const { encoder, decoder, model, send } = channel();
  send([LAYOUT, ...guest.dirtyItems()]);
  // The decoder of a machine that differs in one byte of one page.
  const other = createMemoryDecoder(openImage("spill"));
  const twin = new GuestModel(6);
  twin.page(3)[10] ^= 1;
  const memory = { openImage: openImage("spill"), reachPages: () => Infinity };
  const twins = createMemoryEncoder({ memory });
  for (const payload of [...twins.add([LAYOUT, ...twin.dirtyItems()]), ...twins.flush()]) {
    other.decode(payload);
  }

  guest.write(3, 100);
  const [payload] = [...encoder.add(guest.dirtyItems()), ...encoder.flush()];
  for (const _ of [1, 2]) assert.throws(() => other.decode(payload), isCode("batch_mismatch"));
  model.apply(decoder.decode(payload));
  model.assertEquals(guest);
});

/** A real batch with changes of all kinds, and a decoder that is ready for it. */
function changesBatch() {
  const guest = new GuestModel(8);
  const { encoder, sent, send } = channel({}, { level: 1 });
  send([LAYOUT, ...guest.dirtyItems()]);
  const earlier = [...sent];
  guest.work(60);
  const payloads = [...encoder.add(guest.dirtyItems()), ...encoder.flush()];
  assert.equal(payloads.length, 1);
  const ready = () => {
    const decoder = createMemoryDecoder(openImage("spill"));
    for (const payload of earlier) decoder.decode(payload);
    return decoder;
  };
  return { payload: payloads[0], ready };
}

const isRefused = (thrown: unknown) =>
  isCode("batch_invalid")(thrown) || isCode("batch_mismatch")(thrown);

Deno.test("a batch of changes whose description is cut at any byte is refused", () => {
  const { payload, ready } = changesBatch();
  const { contents, description } = open(payload);
  const decoder = ready();
  for (let bytes = 0; bytes < description.byteLength; bytes++) {
    const body = new ByteSink();
    body.raw(contents);
    const cut = seal(body, description.subarray(0, bytes), null);
    assert.throws(() => decoder.decode(cut), isRefused, `cut at ${bytes}`);
  }
  // Nothing of all that has changed what the decoder knows.
  decoder.decode(payload);
});

Deno.test("a batch of changes that was tampered with is refused or means what it says", () => {
  const { payload, ready } = changesBatch();
  const { contents, description } = open(payload);
  const decoder = ready();
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
            if (item.kind === "pages") {
              assert.equal(item.contents.byteLength, item.pageIndexes.length * PAGE);
              assert.ok(Math.max(...item.pageIndexes) < PAGES);
            }
          }
        } catch (thrown) {
          if (!isRefused(thrown)) throw thrown;
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("references to content that is not there are refused", () => {
  const { payload } = changesBatch();
  for (const openNothing of [null, openImage("spill")]) {
    const decoder = createMemoryDecoder(openNothing);
    decoder.decode([...createMemoryEncoder().add([LAYOUT])][0] ?? layoutBatch());
    assert.throws(() => decoder.decode(payload), isRefused);
  }
});

function layoutBatch(): Uint8Array {
  const encoder = createMemoryEncoder();
  return [...encoder.add([LAYOUT]), ...encoder.flush()][0];
}

Deno.test("contents at an odd address are read alike", () => {
  const { model, send } = channel();
  const guest = new GuestModel(9);
  send([LAYOUT]);
  for (let pass = 0; pass < 3; pass++) {
    send(
      guest.dirtyItems().map((item) => {
        if (item.kind !== "pages") return item;
        const odd = new Uint8Array(item.contents.byteLength + 1).subarray(1);
        odd.set(item.contents);
        return { ...item, contents: odd };
      }),
    );
    model.assertEquals(guest);
    guest.work(100);
  }
});
