import assert from "node:assert/strict";
import { pagesOfBlock } from "../../../codec/memory_layout.ts";
import type { MemoryItem } from "../../../guest/memory_items.ts";

type Layout = Extract<MemoryItem, { kind: "layout" }>;

/**
 * What a machine's driver may rely on of items: they fit the layout before them.
 *
 * @returns the layout behind them, and the kinds that were met
 */
export function checkItems(
  items: readonly MemoryItem[],
  before: Layout | null,
): { layout: Layout | null; kinds: Set<string> } {
  let layout = before;
  const kinds = new Set<string>();
  for (const item of items) {
    kinds.add(item.kind);
    if (item.kind === "layout") layout = item;
    if (item.kind === "layout" || item.kind === "opaque") continue;
    assert.ok(layout !== null, "pages come behind a layout");
    const pages = pagesOfBlock(layout, item.block);
    assert.ok(item.block < layout.blocks.length, `block ${item.block}`);
    if (item.kind === "pages") {
      const { pageIndexes, contents } = item;
      assert.ok(pageIndexes.length > 0);
      assert.equal(contents.length, pageIndexes.length * layout.pageBytes);
      for (const page of pageIndexes) assert.ok(page < pages, `page ${page} of ${pages}`);
    } else {
      const { ranges } = item;
      assert.ok(ranges.length > 0 && ranges.length % 2 === 0);
      for (let i = 0; i < ranges.length; i += 2) {
        assert.ok(ranges[i + 1] > 0 && ranges[i] + ranges[i + 1] <= pages, `range of ${pages}`);
      }
    }
  }
  return { layout, kinds };
}
