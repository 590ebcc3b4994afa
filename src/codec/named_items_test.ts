import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { NAME_BYTES, nameBuffer, nameKey, putName } from "../image/content_name.ts";
import { PageImage } from "../image/page_image.ts";
import { memorySpill } from "../image/testing/memory_spill.ts";
import { ByteSink } from "./bytes.ts";
import { open, seal } from "./envelope.ts";
import { NAMED } from "./item_kinds.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import { createMemoryEncoder } from "./memory_encoder.ts";
import { NamesMissing } from "./named_items.ts";
import { TECHNIQUES } from "./techniques.ts";
import { Contents, Names } from "./testing/known_contents.ts";
import {
  GuestModel,
  LAYOUT,
  MemoryModel,
  PAGE,
  PAGES,
  randomFrom,
} from "./testing/memory_model.ts";

function ends({ spills = true, level = 1 } = {}) {
  const openImage = () => new PageImage(PAGE, 0, spills ? memorySpill(PAGE) : null);
  const contents = new Contents();
  const names = new Names(contents);
  const { reachPages } = openImage();
  const encoder = createMemoryEncoder({
    level,
    memory: { openImage, reachPages: () => reachPages, names: () => names },
  });
  const decoder = createMemoryDecoder(openImage, null, contents);
  return { contents, names, encoder, decoder };
}

Deno.test("pages that travel as names arrive, whatever of it has to be asked for", () => {
  let needs = 0;
  let namedPages = 0;
  fc.assert(
    fc.property(fc.nat(), fc.boolean(), (seed, spills) => {
      const { contents, names, encoder, decoder } = ends({ spills });
      const model = new MemoryModel();
      const guest = new GuestModel(seed);
      const random = randomFrom(seed);
      let frames = 0;
      const send = (payloads: Iterable<Uint8Array>) => {
        for (const payload of payloads) {
          encoder.numbered(++frames);
          for (;;) {
            try {
              model.apply(decoder.decode(payload));
              break;
            } catch (thrown) {
              if (!(thrown instanceof NamesMissing)) throw thrown;
              needs += thrown.names.length;
              for (const name of thrown.names) contents.add(names.kept.get(nameKey(name))!);
            }
          }
        }
      };
      for (let pass = 0; pass < 6; pass++) {
        // Another machine at the destination has had some of these pages.
        for (let page = 0; page < PAGES; page++) {
          if (random(3) === 0) contents.add(guest.page(page), { isThere: random(8) > 0 });
        }
        const payloads = [...encoder.add([LAYOUT, ...guest.dirtyItems()]), ...encoder.flush()];
        send(payloads);
        model.assertEquals(guest);
        guest.work(200);
      }
      assert.deepEqual(
        names.sent,
        Array.from({ length: frames }, (_, i) => [i + 1, i + 1]),
        "each batch was closed once and told of its own frame",
      );
      assert.equal(contents.arrivals, names.carriedCount, "both ends note the same contents");
      const { saved, payloadBytes, offeredBytes } = encoder.totals;
      const savedBytes = TECHNIQUES.reduce((sum, technique) => sum + saved[technique], 0);
      assert.equal(payloadBytes + savedBytes, offeredBytes);
      namedPages += names.namedCount;
    }),
    { numRuns: 40, endOnFailure: true },
  );
  assert.ok(namedPages > 1000 && needs > 100, `${namedPages} named, ${needs} needed`);
});

Deno.test("a batch that names what is missing has no effect, and lists every name", () => {
  const { contents, names, encoder, decoder } = ends();
  const guest = new GuestModel(4);
  const layoutOnly = [...encoder.add([LAYOUT]), ...encoder.flush()];
  for (const payload of layoutOnly) decoder.decode(payload);
  for (let page = 0; page < PAGES; page++) contents.add(guest.page(page), { isThere: false });
  const payloads = [...encoder.add(guest.dirtyItems()), ...encoder.flush()];
  assert.equal(payloads.length, 1);
  for (const _ of [1, 2]) {
    assert.throws(() => decoder.decode(payloads[0]), (thrown) => {
      assert.ok(thrown instanceof NamesMissing);
      const asked = new Set(thrown.names.map(nameKey));
      assert.deepEqual(asked, new Set(names.kept.keys()));
      return true;
    });
  }
  assert.equal(contents.arrivals, 0);
  for (const content of names.kept.values()) contents.add(content);
  const model = new MemoryModel();
  model.apply(decoder.decode(payloads[0]));
  model.assertEquals(guest);
  assert.ok(decoder.release() !== null, "nothing went wrong");
});

Deno.test("named pages are among those that a batch changes, so that a repair sends them again", () => {
  const { contents, encoder } = ends();
  const guest = new GuestModel(4);
  for (let page = 0; page < PAGES; page++) contents.add(guest.page(page));
  const payloads = [...encoder.add([LAYOUT, ...guest.dirtyItems()]), ...encoder.flush()];
  assert.equal(payloads.length, 1);
  const touched = encoder.numbered(1);
  const pages = [...touched].reduce((sum, count, i) => sum + (i % 2 ? count : 0), 0);
  assert.ok(encoder.totals.saved.duplicate > 0);
  assert.ok(pages >= PAGES, `${pages} of ${PAGES}`);
  encoder.forget(touched);
  guest.touchAll();
  const { unchanged } = encoder.totals.saved;
  assert.equal([...encoder.add(guest.dirtyItems()), ...encoder.flush()].length, 1);
  assert.equal(encoder.totals.saved.unchanged, unchanged, "none is taken for there");
});

Deno.test("pages named at one place are known there: they are duplicates and deltas later", () => {
  const { contents, encoder, decoder } = ends();
  const guest = new GuestModel(2);
  for (let page = 0; page < PAGES; page++) contents.add(guest.page(page));
  const apply = (payloads: Iterable<Uint8Array>) => {
    for (const payload of payloads) decoder.decode(payload);
  };
  apply([...encoder.add([LAYOUT, ...guest.dirtyItems()]), ...encoder.flush()]);
  const before = { ...encoder.totals.saved };
  guest.touchAll();
  guest.write(1, 3);
  guest.page(2).set(guest.page(3));
  apply([...encoder.add(guest.dirtyItems()), ...encoder.flush()]);
  const { saved } = encoder.totals;
  assert.equal(saved.unchanged - before.unchanged, (PAGES - 2) * PAGE);
  assert.ok(saved.delta > before.delta && saved.duplicate > before.duplicate);
});

const isInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

/** A batch whose description is one item of named pages. */
function batchOf(numbers: readonly number[], names: number, rest = new Uint8Array(0)): Uint8Array {
  const body = new ByteSink();
  const bytes = new Uint8Array(NAME_BYTES);
  for (let i = 0; i < names; i++) {
    const name = nameBuffer().fill(i);
    putName(name, bytes);
    body.raw(bytes);
  }
  const description = new ByteSink();
  description.u8(NAMED);
  for (const number of numbers) description.varint(number);
  description.raw(rest);
  return seal(body, description.view(), null);
}

Deno.test("named pages that fit no memory are refused before anything is made for them", () => {
  const { encoder, decoder } = ends();
  for (const payload of [...encoder.add([LAYOUT]), ...encoder.flush()]) decoder.decode(payload);
  const cases: [string, Uint8Array][] = [
    ["a block that is not there", batchOf([3, 1, 0], 1)],
    ["no page", batchOf([0, 0], 0)],
    ["more pages than names", batchOf([0, 2, 0, 0], 1)],
    ["more names than pages", batchOf([0, 1, 0], 2)],
    ["more pages than the description holds", batchOf([0, 1e9, 0], 1)],
    ["a page behind the block", batchOf([0, 1, 600], 1)],
    ["a page before it", batchOf([0, 1, 1], 1)],
    ["a description that is cut", batchOf([0, 2, 0], 2)],
  ];
  for (const [what, payload] of cases) {
    assert.throws(() => decoder.decode(payload), isInvalid, what);
  }
  assert.throws(() => createMemoryDecoder().decode(batchOf([0, 1, 0], 1)), isInvalid);
  const without = createMemoryDecoder();
  for (const payload of [...createMemoryEncoder().add([LAYOUT])]) without.decode(payload);
  assert.throws(() => without.decode(batchOf([0, 1, 0], 1)), isInvalid, "no store");
});

Deno.test("a batch that names more than a batch may lead to is refused", () => {
  // 8192 names are 256 KiB; of this layout's pages they would be 512 MiB.
  const layout = { ...LAYOUT, pageBytes: 65_536, blocks: [{ name: "r", lengthBytes: 2 ** 30 }] };
  const decoder = createMemoryDecoder(null, null, new Contents());
  const encoder = createMemoryEncoder();
  for (const payload of [...encoder.add([layout]), ...encoder.flush()]) decoder.decode(payload);
  const count = 8192;
  assert.throws(
    () => decoder.decode(batchOf([0, count], count, new Uint8Array(count))),
    (thrown) => isInvalid(thrown) && /changes of/.test(String(thrown)),
  );
});

Deno.test("a batch with names that was tampered with is refused, asks, or means what it says", () => {
  const { contents, encoder, decoder } = ends();
  const guest = new GuestModel(8);
  for (let page = 0; page < PAGES; page += 2) contents.add(guest.page(page));
  for (const payload of [...encoder.add([LAYOUT]), ...encoder.flush()]) decoder.decode(payload);
  const [payload] = [...encoder.add(guest.dirtyItems()), ...encoder.flush()];
  const body = open(payload);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(body.description.byteLength - 1), fc.nat(255)), { minLength: 1 }),
      fc.nat(body.description.byteLength),
      (edits, length) => {
        const edited = new Uint8Array(body.description);
        for (const [at, byte] of edits) edited[at] = byte;
        const sink = new ByteSink();
        sink.raw(body.contents);
        try {
          for (const item of decoder.decode(seal(sink, edited.subarray(0, length), null))) {
            if (item.kind !== "pages") continue;
            assert.equal(item.contents.byteLength, item.pageIndexes.length * PAGE);
            assert.ok(Math.max(...item.pageIndexes) < PAGES);
          }
        } catch (thrown) {
          if (thrown instanceof NamesMissing || isInvalid(thrown)) return;
          assert.equal((thrown as GatewayError).code, "batch_mismatch");
        }
      },
    ),
    { numRuns: 300 },
  );
});
