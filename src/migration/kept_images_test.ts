import assert from "node:assert/strict";
import type { KnownMemory } from "../codec/known_memory.ts";
import type { Layout } from "../codec/memory_layout.ts";
import { GatewayError } from "../core/errors.ts";
import { PageImage } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { KeptImages, type KeptLimits } from "./kept_images.ts";

const PAGE = 512;
const PAGES = 200;
const LIMITS: KeptLimits = {
  keptImagesMax: 3,
  keptBytesMax: 2 * PAGES * PAGE,
  keptAttemptMs: 1000,
  keptDepartureMs: 5000,
};
const LAYOUT: Layout = {
  kind: "layout",
  pageBytes: PAGE,
  section: 0,
  blocks: [{ name: "ram", lengthBytes: PAGES * PAGE }],
};

function setUp(limits: Partial<KeptLimits> = {}) {
  const clock = new VirtualClock();
  const log: string[] = [];
  const kept = new KeptImages({ ...LIMITS, ...limits }, clock, (_, message) => log.push(message));
  return { clock, kept, log };
}

/** Memory of a machine, and whether its image was given back. */
function memory(pages = PAGES / 2, write?: () => never) {
  let isClosed = false;
  const spill = memorySpill(PAGE);
  const image = new PageImage(PAGE, PAGES * PAGE, {
    write: write ?? ((numbers, contents) => spill.write(numbers, contents)),
    read: (page, number, into) => spill.read(page, number, into),
    get storedBytes() {
      return spill.storedBytes;
    },
    close: () => void (isClosed = true),
  });
  for (let page = 0; page < pages; page++) image.set(page, new Uint8Array(PAGE).fill(page + 1));
  const known: KnownMemory = { layout: LAYOUT, image };
  return { known, isClosed: () => isClosed };
}

Deno.test("an image is kept for its guest and peer, and given out once", () => {
  const { kept } = setUp();
  const { known, isClosed } = memory();
  kept.of("g", "b").keep(known, "attempt");
  assert.equal(kept.of("g", "c").take(), null);
  assert.equal(kept.of("h", "b").take(), null);
  assert.equal(kept.of("g", "b").take(), known);
  assert.equal(kept.of("g", "b").take(), null);
  assert.equal(isClosed(), false);
});

Deno.test("a kept image leaves memory a little at a time, and stays whole when it is taken meanwhile", async () => {
  for (const stepsMs of [0, 1]) {
    const { kept, clock } = setUp();
    const { known } = memory();
    kept.of("g", "b").keep(known, "attempt");
    if (stepsMs > 0) await clock.advance(stepsMs);
    assert.equal(known.image.heldPages, stepsMs > 0 ? 0 : PAGES / 2);
    assert.equal(known.image.storedBytes, PAGES / 2 * PAGE);
    assert.equal(kept.of("g", "b").take(), known);
    await clock.advance(10_000);
    const into = new Uint8Array(PAGE);
    for (let page = 0; page < PAGES / 2; page++) {
      assert.ok(known.image.read(page, into));
      assert.equal(into[PAGE - 1], (page + 1) % 256);
    }
  }
});

Deno.test("an attempt is forgotten after its time, a departure after its own", async () => {
  const { kept, clock } = setUp();
  const [attempt, departure] = [memory(), memory()];
  kept.of("g", "b").keep(attempt.known, "attempt");
  kept.of("h", "b").keep(departure.known, "departure");
  await clock.advance(999);
  assert.equal(attempt.isClosed(), false);
  await clock.advance(1);
  assert.equal(attempt.isClosed(), true);
  assert.equal(kept.of("g", "b").take(), null);
  await clock.advance(3999);
  assert.equal(departure.isClosed(), false);
  await clock.advance(1);
  assert.equal(departure.isClosed(), true);
  assert.equal(kept.count, 0);
});

Deno.test("the newer image of a guest replaces the older one and lasts its own time", async () => {
  const { kept, clock } = setUp();
  const [older, newer] = [memory(), memory()];
  kept.of("g", "b").keep(older.known, "attempt");
  await clock.advance(600);
  kept.of("g", "b").keep(newer.known, "attempt");
  assert.equal(older.isClosed(), true);
  await clock.advance(600);
  assert.equal(newer.isClosed(), false);
  assert.equal(kept.of("g", "b").take(), newer.known);
});

Deno.test("the oldest image goes when there are too many, or when they take too much", async () => {
  const { kept, clock } = setUp();
  const images = [30, 30, 30, 30].map((pages) => memory(pages));
  for (const [i, { known }] of images.entries()) {
    kept.of(`g${i}`, "b").keep(known, "departure");
    await clock.advance(1);
  }
  assert.deepEqual(images.map(({ isClosed }) => isClosed()), [true, false, false, false]);
  const large = memory(2 * PAGES - 40);
  kept.of("large", "b").keep(large.known, "departure");
  await clock.advance(20);
  assert.deepEqual(images.map(({ isClosed }) => isClosed()), [true, true, true, false]);
  assert.equal(large.isClosed(), false);
  const tooLarge = memory(2 * PAGES + 1);
  kept.of("too large", "b").keep(tooLarge.known, "departure");
  await clock.advance(20);
  assert.equal(tooLarge.isClosed(), true);
  assert.equal(kept.count, 2, "none of the others had to go for it");
});

Deno.test("none is kept where the limit says so, and all end with the gateway", () => {
  const none = setUp({ keptImagesMax: 0 });
  const first = memory();
  none.kept.of("g", "b").keep(first.known, "attempt");
  assert.equal(first.isClosed(), true);
  const { kept } = setUp();
  const second = memory();
  kept.of("g", "b").keep(second.known, "attempt");
  kept.close();
  assert.equal(second.isClosed(), true);
  const late = memory();
  kept.of("g", "b").keep(late.known, "attempt");
  assert.equal(late.isClosed(), true);
});

Deno.test("what is dropped by name is gone", () => {
  const { kept } = setUp();
  const { known, isClosed } = memory();
  kept.of("g", "b").keep(known, "attempt");
  kept.drop("g", "c");
  assert.equal(isClosed(), false);
  kept.drop("g", "b");
  assert.equal(isClosed(), true);
});

Deno.test("a move that finds no room makes room for the next one", () => {
  const { kept } = setUp();
  const images = [memory(), memory()];
  kept.of("g", "b").keep(images[0].known, "attempt");
  kept.of("h", "c").keep(images[1].known, "departure");
  kept.of("i", "d").noRoom();
  assert.deepEqual(images.map(({ isClosed }) => isClosed()), [true, true]);
  const next = memory();
  kept.of("g", "b").keep(next.known, "attempt");
  assert.equal(next.isClosed(), false);
});

Deno.test("an image that cannot be put away is not kept, and that is told", async () => {
  const { kept, clock, log } = setUp();
  const { known, isClosed } = memory(PAGES / 2, () => {
    throw new GatewayError("image_io", "Cannot keep the page image: no space", { hint: "none" });
  });
  kept.of("g", "b").keep(known, "attempt");
  await clock.advance(1);
  assert.equal(isClosed(), true);
  assert.match(log[0], /g for b: the page image is not kept: .*no space/);
});
