import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { digestPage } from "../image/page_digest.ts";
import { DIGEST_ONLY, PageImage, UNKNOWN, ZERO } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import { PAYLOAD_BYTES_MAX } from "../wire/limits.ts";
import { ByteSink } from "./bytes.ts";
import type { Layout } from "./memory_layout.ts";
import { MemoryOfferReader, MemoryOfferWriter, type OfferSink } from "./memory_offer.ts";
import { plausibleLayout, WarmIntake } from "./warm_intake.ts";

const PAGE = 512;
const isInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

/** What an offer said, one entry for each page. */
class Heard implements OfferSink {
  readonly pages: string[] = [];

  unknown(firstPage: number, pageCount: number): void {
    this.#put(firstPage, pageCount, "unknown");
  }
  zeros(firstPage: number, pageCount: number): void {
    this.#put(firstPage, pageCount, "zero");
  }
  kept(page: number, digest: Uint32Array): void {
    this.#put(page, 1, [...digest].join());
  }

  #put(firstPage: number, pageCount: number, what: string): void {
    assert.equal(this.pages.length, firstPage);
    for (let i = 0; i < pageCount; i++) this.pages.push(what);
  }
}

function content(seed: number): Uint8Array {
  return new Uint8Array(PAGE).fill(seed % 255 + 1);
}

function framesOf(image: PageImage, pageCount: number): Uint8Array[] {
  const writer = new MemoryOfferWriter(image, pageCount);
  const frames: Uint8Array[] = [];
  while (!writer.isComplete) frames.push(writer.next());
  return frames;
}

function heard(frames: readonly Uint8Array[], pageCount: number): string[] {
  const sink = new Heard();
  const reader = new MemoryOfferReader(pageCount, sink);
  for (const frame of frames) {
    assert.equal(reader.isComplete, false);
    reader.read(frame);
  }
  assert.equal(reader.isComplete, true);
  return sink.pages;
}

Deno.test("an offer tells of every page what the image can give out, and marks it as waiting", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("unknown", "zero", "content"), { maxLength: 700, size: "max" }),
      fc.boolean(),
      (pages, spills) => {
        const image = new PageImage(PAGE, 0, spills ? memorySpill(PAGE) : null);
        pages.forEach((what, page) => {
          if (what === "zero") image.setZero(page);
          if (what === "content") image.set(page, content(page));
        });
        const frames = framesOf(image, pages.length);
        const digest = new Uint32Array(4);
        heard(frames, pages.length).forEach((said, page) => {
          assert.equal(image.isWaiting(page), said !== "unknown");
          if (pages[page] !== "content") return assert.equal(said, pages[page]);
          digestPage(content(page), digest);
          const isThere = image.stateOf(page) !== DIGEST_ONLY && image.stateOf(page) !== UNKNOWN;
          assert.equal(isThere, said !== "unknown");
          assert.ok(isThere || !spills);
          if (isThere) assert.equal(said, [...digest].join());
        });
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("a large memory is told in frames that fit, and an unknown one in few bytes", () => {
  const image = new PageImage(PAGE, 20_000 * PAGE, null);
  for (let page = 0; page < 20_000; page++) image.set(page, content(page));
  const pageCount = 2 ** 22;
  const frames = framesOf(image, pageCount);
  assert.equal(heard(frames, pageCount).filter((said) => said !== "unknown").length, 20_000);
  assert.ok(frames.every(({ byteLength }) => byteLength < PAYLOAD_BYTES_MAX / 8));
  const unknown = framesOf(new PageImage(PAGE, 0, null), pageCount);
  assert.ok(unknown.reduce((sum, { byteLength }) => sum + byteLength, 0) < 100);
  assert.equal(framesOf(new PageImage(PAGE, 0, null), 0).length, 1);
});

/** Two frames of an offer of six pages. */
function twoFrames(): Uint8Array[] {
  const [whole] = framesOf(offered(), 6);
  const second = new ByteSink();
  second.raw(Uint8Array.of(1, 1));
  second.varint(4);
  // Zero page 4, unknown page 5.
  second.raw(whole.subarray(whole.byteLength - 2));
  const first = new Uint8Array(whole.subarray(0, whole.byteLength - 2));
  first[1] = 0;
  return [first, new Uint8Array(second.view())];
}

function offered(): PageImage {
  const image = new PageImage(PAGE, 0, null);
  for (const page of [0, 1, 2, 3]) image.set(page, content(page));
  image.setZero(4);
  return image;
}

Deno.test("an offer cut at any byte is refused, or its next frame is", () => {
  const [first, second] = twoFrames();
  assert.equal(heard([first, second], 6).length, 6);
  for (let bytes = 0; bytes < first.byteLength; bytes++) {
    const reader = new MemoryOfferReader(6, new Heard());
    assert.throws(
      () => {
        reader.read(first.subarray(0, bytes));
        reader.read(second);
      },
      isInvalid,
      `first cut at ${bytes}`,
    );
    assert.equal(reader.isComplete, false);
  }
  for (let bytes = 0; bytes < second.byteLength; bytes++) {
    const reader = new MemoryOfferReader(6, new Heard());
    reader.read(first);
    assert.throws(() => reader.read(second.subarray(0, bytes)), isInvalid, `cut at ${bytes}`);
  }
});

Deno.test("an offer that is not one is refused before it sizes anything", () => {
  const frame = (version: number, last: number, ...numbers: number[]) => {
    const sink = new ByteSink();
    sink.u8(version);
    sink.u8(last);
    for (const number of numbers) sink.varint(number);
    return new Uint8Array(sink.view());
  };
  const refused: Record<string, Uint8Array> = {
    "another version": frame(2, 1, 0, 4 * 6),
    "a reserved bit": frame(1, 2, 0, 4 * 6),
    "not from the beginning": frame(1, 1, 1, 4 * 5),
    "too few pages": frame(1, 1, 0, 4 * 5),
    "too many pages": frame(1, 1, 0, 4 * 7),
    "far too many pages": frame(1, 0, 0, 4 * 2 ** 40 + 1),
    "digests that are not there": frame(1, 0, 0, 4 * 6 + 2),
    "a run of nothing": frame(1, 0, 0, 0),
    "another kind": frame(1, 0, 0, 4 * 6 + 3),
  };
  for (const [what, payload] of Object.entries(refused)) {
    assert.throws(() => new MemoryOfferReader(6, new Heard()).read(payload), isInvalid, what);
  }
  const reader = new MemoryOfferReader(6, new Heard());
  reader.read(frame(1, 1, 0, 4 * 6));
  assert.throws(() => reader.read(frame(1, 1, 6)), isInvalid, "after its end");
});

Deno.test("random bytes are refused as an offer, or mean what they say", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const sink = new Heard();
    try {
      new MemoryOfferReader(6, sink).read(Uint8Array.of(1, 0, 0, ...bytes));
    } catch (thrown) {
      if (!isInvalid(thrown)) throw thrown;
    }
    assert.ok(sink.pages.length <= 6);
  }));
});

const LAYOUT: Layout = {
  kind: "layout",
  pageBytes: PAGE,
  section: 2,
  blocks: [{ name: "ram", lengthBytes: 6 * PAGE }],
};

Deno.test("what this site kept is used where it is what the destination has, the rest is not", () => {
  for (const section of [2, 3]) {
    const own = new PageImage(PAGE, 0, null);
    own.set(0, content(0));
    own.set(1, content(77));
    own.setZero(2);
    own.set(4, content(4));
    own.set(5, content(5));
    const opened: PageImage[] = [];
    const intake = new WarmIntake(LAYOUT, { layout: { ...LAYOUT, section }, image: own }, () => {
      opened.push(new PageImage(PAGE, 0, null));
      return opened[0];
    });
    for (const payload of twoFrames()) intake.take({ type: FRAME_TYPES.memoryOffer, payload });
    const { image, index } = intake.release()!;
    const isSame = section === LAYOUT.section;
    assert.equal(image === own, isSame);
    const into = new Uint8Array(PAGE);
    assert.equal(image.read(0, into), isSame, "kept by both");
    for (const page of [1, 2, 3]) assert.equal(image.stateOf(page), DIGEST_ONLY);
    assert.equal(image.stateOf(4), ZERO);
    assert.equal(image.stateOf(5), UNKNOWN, "the destination has it not");
    assert.deepEqual([0, 1, 2, 3, 4, 5].map((page) => image.isWaiting(page)), [
      ...Array(5).fill(true),
      false,
    ]);
    const digest = new Uint32Array(4);
    digestPage(content(3), digest);
    assert.equal(index.find(digest), 3);
    assert.equal(intake.release(), null);
    // The move is over, what still arrives is of no interest.
    intake.take({ type: FRAME_TYPES.memoryOffer, payload: new Uint8Array(1) });
    const other = { type: FRAME_TYPES.memoryBatch, payload: new Uint8Array(1) };
    assert.throws(
      () => intake.take(other),
      (thrown) => thrown instanceof GatewayError && thrown.code === "frame_invalid",
    );
  }
});

Deno.test("a layout that cannot be the machine's is not listened to", () => {
  const { kind: _, ...layout } = LAYOUT;
  assert.deepEqual(plausibleLayout(layout, 6 * PAGE), LAYOUT);
  assert.equal(plausibleLayout(null, 2 ** 30), null);
  const bigger = (lengthBytes: number) => ({ ...layout, blocks: [{ name: "ram", lengthBytes }] });
  assert.equal(plausibleLayout(bigger(4 * 2 ** 30), 2 ** 30), null);
  assert.ok(plausibleLayout(bigger(2 ** 30 + 2 ** 24), 2 ** 30), "with its video memory");
  assert.equal(plausibleLayout({ ...layout, pageBytes: 1000 }, 2 ** 30), null);
  assert.equal(plausibleLayout(bigger(2 ** 49), 2 ** 49), null, "too large to be followed");
});
