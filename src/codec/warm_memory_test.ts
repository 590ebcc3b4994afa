import assert from "node:assert/strict";
import fc from "fast-check";
import type { MemoryItem } from "../guest/memory_items.ts";
import { KEPT_BYTES_MAX } from "./item_kinds.ts";
import type { Layout } from "./memory_layout.ts";
import { TECHNIQUES } from "./techniques.ts";
import { Attempt, type Keeping, NOTHING, run } from "./testing/attempt.ts";
import { Contents } from "./testing/known_contents.ts";
import { GuestModel, LAYOUT, PAGE, PAGES, placeOf, randomFrom } from "./testing/memory_model.ts";

const anyKeeping = fc.constantFrom<Keeping>("spill", "bounded");

Deno.test("a fresh machine gets every page, whatever both sides have of it from before", () => {
  let warmBytes = 0;
  let namedPages = 0;
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
      fc.boolean(),
      (seed, { disable, ...keeping }, attempts, hasStore) => {
        const guest = new GuestModel(seed);
        const random = randomFrom(seed);
        const contents = hasStore ? new Contents() : undefined;
        const settings = { ...keeping, disable, contents };
        let left = NOTHING;
        for (const { cutPages, forgets } of attempts) {
          const attempt = new Attempt(left, settings);
          attempt.send([LAYOUT]);
          guest.touchAll();
          // Some pages, some of them again, and then it ends.
          for (const item of guest.dirtyItems().slice(0, 1 + cutPages / 32)) attempt.send([item]);
          guest.work(1 + random(400));
          for (let page = 0; page < PAGES && hasStore; page += 1 + random(20)) {
            contents!.add(guest.page(page), { isThere: random(8) > 0 });
          }
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
        if (saved.warm > 0) namedPages += last.names?.namedCount ?? 0;
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
  assert.ok(warmBytes > 5 * PAGES * PAGE / 4, `${warmBytes}`);
  assert.ok(namedPages > 100, `${namedPages}`);
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

Deno.test("kept pages that did not arrive travel whole when they are asked for again", () => {
  const guest = new GuestModel(6);
  const first = new Attempt(NOTHING);
  run(first, guest, 1);
  const second = new Attempt(first.end());
  second.send([LAYOUT]);
  second.encoder.numbered(1);
  const items = guest.items([101, 102, 103]);
  const [lost] = [...second.encoder.add(items), ...second.encoder.flush()];
  assert.equal(second.saved.warm, 3 * PAGE);
  assert.ok(lost.byteLength < 40);
  second.encoder.forget(second.encoder.numbered(1));
  second.send(items);
  assert.equal(second.saved.warm, 3 * PAGE);
  for (const page of [101, 102, 103]) {
    const there = second.model.memory.subarray(page * PAGE, (page + 1) * PAGE);
    assert.ok(there.equals(guest.page(page)));
  }
});
