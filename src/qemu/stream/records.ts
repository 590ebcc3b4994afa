import type { MemoryBlock } from "../../guest/memory_items.ts";
import { RAM } from "./format.ts";
import { textOf } from "./framing.ts";
import type { PageGroup } from "./page_group.ts";

/** Why reading stopped; `at` is the first byte of the record it stopped in front of. */
export type RecordsStop =
  | { readonly kind: "incomplete"; readonly at: number; readonly bytesNeeded: number }
  | { readonly kind: "endOfSection"; readonly at: number }
  | { readonly kind: "unknown"; readonly at: number; readonly reason: string };

/** The record read last on this connection: what "same block" refers to, across sections. */
export interface LastRecord {
  readonly blockName: string;
  readonly pageIndex: number;
  readonly pageBytes: number;
}

/**
 * Reads the page records of memory sections; the only part of the reader that is on the fast path,
 * hence without cursor and without an object per record.
 *
 * Record: `be64 offset | flags, [name], page bytes or the zero page's fill byte`.
 */
export class RecordReader {
  pageRecords = 0;
  zeroRecords = 0;
  private lastBlock = -1;
  private lastPage = 0;
  private readonly blockOf = new Map<string, number>();
  private readonly pageCounts: number[];
  private readonly pageBits: number;

  constructor(
    private readonly blocks: readonly MemoryBlock[],
    private readonly pageBytes: number,
    private readonly group: PageGroup,
  ) {
    blocks.forEach(({ name }, index) => this.blockOf.set(name, index));
    this.pageCounts = blocks.map(({ lengthBytes }) => lengthBytes / pageBytes);
    this.pageBits = Math.log2(pageBytes);
  }

  get last(): LastRecord | null {
    if (this.lastBlock < 0) return null;
    const { lastBlock, lastPage: pageIndex, pageBytes } = this;
    return { blockName: this.blocks[lastBlock].name, pageIndex, pageBytes };
  }

  /** Reads from `at` on to the last complete page record; bodies go to the group as views. */
  read(bytes: Uint8Array, view: DataView, start: number): RecordsStop {
    const { pageBytes, pageBits, group } = this;
    const flagMask = pageBytes - 1;
    const pagesPer4GiB = 2 ** (32 - pageBits);
    const end = bytes.length;
    let at = start;
    for (;;) {
      if (end - at < 8) return { kind: "incomplete", at, bytesNeeded: 8 };
      const word = view.getUint32(at + 4);
      const flags = word & flagMask;
      const kind = flags & ~RAM.sameBlock;
      if (kind !== RAM.page && kind !== RAM.zero) {
        if (word === RAM.endOfSection && view.getUint32(at) === 0) {
          return { kind: "endOfSection", at };
        }
        return { kind: "unknown", at, reason: `memory record with flags 0x${flags.toString(16)}` };
      }
      let body = at + 8;
      let block = this.lastBlock;
      if (!(flags & RAM.sameBlock)) {
        const lengthKnown = body < end;
        const nameEnd = body + 1 + (lengthKnown ? bytes[body] : 0);
        if (!lengthKnown || nameEnd > end) {
          return { kind: "incomplete", at, bytesNeeded: nameEnd - at };
        }
        const name = textOf(bytes.subarray(body + 1, nameEnd));
        const named = this.blockOf.get(name);
        if (named === undefined) return { kind: "unknown", at, reason: "unlisted memory block" };
        block = named;
        body = nameEnd;
      } else if (block < 0) {
        return { kind: "unknown", at, reason: "the first memory record names no block" };
      }
      const pageIndex = view.getUint32(at) * pagesPer4GiB + (word >>> pageBits);
      if (pageIndex >= this.pageCounts[block]) {
        return { kind: "unknown", at, reason: "a memory record lies outside its block" };
      }
      if (kind === RAM.page) {
        const next = body + pageBytes;
        if (next > end) return { kind: "incomplete", at, bytesNeeded: next - at };
        group.addPage(block, pageIndex, bytes.subarray(body, next));
        this.pageRecords++;
        at = next;
      } else {
        if (body >= end) return { kind: "incomplete", at, bytesNeeded: body + 1 - at };
        if (bytes[body] !== 0) return { kind: "unknown", at, reason: "a fill byte other than 0" };
        group.addZero(block, pageIndex);
        this.zeroRecords++;
        at = body + 1;
      }
      this.lastBlock = block;
      this.lastPage = pageIndex;
    }
  }
}
