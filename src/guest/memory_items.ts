/** What a machine's memory stream consists of, in order; both guest kinds produce and accept it. */
export type MemoryItem =
  /**
   * Blocks of memory; comes before the first page. `section` is QEMU's section id of "ram" (0
   * elsewhere).
   */
  | {
    readonly kind: "layout";
    readonly pageBytes: number;
    readonly section: number;
    readonly blocks: readonly MemoryBlock[];
  }
  /**
   * `pageIndexes.length` whole pages of one block, contents back to back (pageIndexes.length *
   * pageBytes bytes).
   */
  | {
    readonly kind: "pages";
    readonly block: number;
    readonly pageIndexes: Uint32Array;
    readonly contents: Uint8Array;
  }
  /** Zero pages as ranges: firstPage, pageCount pairs, back to back. */
  | { readonly kind: "zeros"; readonly block: number; readonly ranges: Uint32Array }
  /** Bytes to relay verbatim here; `reason` is set once, when the reader gave up interpreting. */
  | { readonly kind: "opaque"; readonly bytes: Uint8Array; readonly reason?: string };

/** One block; block numbers in items are places in the layout's list. */
export interface MemoryBlock {
  readonly name: string;
  readonly lengthBytes: number;
}
