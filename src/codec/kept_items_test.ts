import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { PageImage } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { ByteSink } from "./bytes.ts";
import { open, seal } from "./envelope.ts";
import { KEPT_BYTES_MAX } from "./item_kinds.ts";
import type { Layout } from "./memory_layout.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import { createMemoryEncoder } from "./memory_encoder.ts";
import { MemoryOfferWriter } from "./memory_offer.ts";
import { PageSpace } from "./page_space.ts";
import { Attempt, NOTHING, openImage, run } from "./testing/attempt.ts";
import { GuestModel, LAYOUT, MemoryModel, PAGE, PAGES } from "./testing/memory_model.ts";

const isCode = (code: string) => (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === code;
const isRefused = (thrown: unknown) =>
  isCode("batch_invalid")(thrown) || isCode("batch_mismatch")(thrown);

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

Deno.test("a decoder whose storage is full leaves nothing to the next move", () => {
  const { spill } = spoilable();
  let isClosed = false;
  const full = {
    ...spill,
    write: () => {
      throw new GatewayError("image_io", "Cannot keep the page image: no space", { hint: "none" });
    },
    close: () => void (isClosed = true),
  };
  const decoder = createMemoryDecoder(() => new PageImage(PAGE, 0, full));
  const source = new Attempt(NOTHING);
  run(source, new GuestModel(7), 1);
  const decodeAll = () => source.sent.forEach((payload) => decoder.decode(payload));
  assert.throws(decodeAll, isCode("image_io"));
  assert.equal(decoder.release(), null);
  assert.equal(isClosed, true);
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
