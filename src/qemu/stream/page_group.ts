import type { MemoryItem } from "../../guest/memory_items.ts";

/** Contents of one `pages` item at most; batches of this size compress well and stay cache-warm. */
export const MAX_GROUP_BYTES = 256 * 1024;
/** Zero ranges of one item at most. */
const MAX_GROUP_RANGES = 4096;

/**
 * Collects page records of one block into a `pages` and a `zeros` item.
 *
 * Inside a group page numbers only rise, so no page is in both items and their order is free. That
 * costs nothing: QEMU walks a block upwards, and where it turns back a new group begins.
 */
export class PageGroup {
  private block = -1;
  private highestPage = -1;
  private pageCount = 0;
  private readonly indexes: Uint32Array;
  /** Views of the caller's bytes; copied once, at `flush`, into exactly as many bytes as needed. */
  private readonly bodies: Uint8Array[] = [];
  private rangeCount = 0;
  private readonly ranges = new Uint32Array(2 * MAX_GROUP_RANGES);

  constructor(
    private readonly pageBytes: number,
    private readonly emit: (item: MemoryItem) => void,
    private readonly takeBytes: (lengthBytes: number) => Uint8Array,
  ) {
    this.indexes = new Uint32Array(Math.max(1, Math.floor(MAX_GROUP_BYTES / pageBytes)));
  }

  addPage(block: number, pageIndex: number, body: Uint8Array): void {
    this.enter(block, pageIndex);
    this.indexes[this.pageCount] = pageIndex;
    this.bodies[this.pageCount] = body;
    if (++this.pageCount === this.indexes.length) this.flush();
  }

  addZero(block: number, pageIndex: number): void {
    this.enter(block, pageIndex);
    const last = 2 * this.rangeCount - 2;
    if (last >= 0 && this.ranges[last] + this.ranges[last + 1] === pageIndex) {
      this.ranges[last + 1]++;
      return;
    }
    this.ranges[last + 2] = pageIndex;
    this.ranges[last + 3] = 1;
    if (++this.rangeCount === MAX_GROUP_RANGES) this.flush();
  }

  private enter(block: number, pageIndex: number): void {
    if (block !== this.block || pageIndex <= this.highestPage) {
      this.flush();
      this.block = block;
    }
    this.highestPage = pageIndex;
  }

  /** Emits what was collected; after this the bodies may be overwritten. */
  flush(): void {
    const { block, pageBytes } = this;
    if (this.pageCount > 0) {
      const contents = this.takeBytes(this.pageCount * pageBytes);
      for (let i = 0; i < this.pageCount; i++) contents.set(this.bodies[i], i * pageBytes);
      const pageIndexes = this.indexes.slice(0, this.pageCount);
      this.emit({ kind: "pages", block, pageIndexes, contents });
    }
    if (this.rangeCount > 0) {
      const ranges = this.ranges.slice(0, 2 * this.rangeCount);
      this.emit({ kind: "zeros", block, ranges });
    }
    this.bodies.length = 0;
    this.pageCount = this.rangeCount = 0;
    this.highestPage = -1;
  }
}
