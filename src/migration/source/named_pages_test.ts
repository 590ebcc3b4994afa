import assert from "node:assert/strict";
import fc from "fast-check";
import { GuestModel, LAYOUT, PAGE, PAGES, placeOf } from "../../codec/testing/memory_model.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { NamedPages } from "./named_pages.ts";

const layout = LAYOUT as MemoryItem & { kind: "layout" };

Deno.test("what no item has named is missing, whatever was named twice", () => {
  const anyPages = fc.uniqueArray(fc.nat(PAGES - 1));
  fc.assert(fc.property(anyPages, anyPages, fc.nat(), (asPages, asZeros, seed) => {
    const named = NamedPages.of(layout)!;
    const model = new GuestModel(seed);
    for (const page of asPages) {
      const { block, index } = placeOf(page);
      const pageIndexes = Uint32Array.of(index);
      named.note({ kind: "pages", block, pageIndexes, contents: model.page(page) });
    }
    for (const page of asZeros) {
      const { block, index } = placeOf(page);
      named.note({ kind: "zeros", block, ranges: Uint32Array.of(index, 1) });
    }
    const distinct = new Set([...asPages, ...asZeros]).size;
    assert.equal(named.missingBytes, (PAGES - distinct) * PAGE);
  }));
});

Deno.test("nothing is missing once everything was named", () => {
  const named = NamedPages.of(layout)!;
  for (const item of new GuestModel(1).dirtyItems()) named.note(item);
  assert.equal(named.missingBytes, 0);
});

Deno.test("pages behind a block do not count for the next one, and cost no time", () => {
  const named = NamedPages.of(layout)!;
  const huge = Uint32Array.of(299, 0xffff_ffff);
  named.note({ kind: "zeros", block: 0, ranges: huge });
  const pageIndexes = Uint32Array.of(300, 0xffff_ffff);
  named.note({ kind: "pages", block: 0, pageIndexes, contents: new Uint8Array(2 * PAGE) });
  named.note({ kind: "zeros", block: 9, ranges: Uint32Array.of(0, 5) });
  assert.equal(named.missingBytes, (PAGES - 1) * PAGE);
});

Deno.test("a memory beyond what is followed page by page is not followed", () => {
  const blocks = [{ name: "ram", lengthBytes: 2 ** 41 }];
  assert.equal(NamedPages.of({ ...layout, pageBytes: 4096, blocks }), null);
});
