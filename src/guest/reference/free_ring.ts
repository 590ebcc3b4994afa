import { PAGE_BYTES } from "./units.ts";

/** Of the pages that are freed and used in turn, one for so many free ones is in use. */
const FREE_PAGES_PER_USED = 8;
/** The rest of the memory is never free, however much a definition asks for. */
const FREE_RATIO_MAX = 0.75;

/**
 * The pages at the end of the memory that the workload frees and takes into use again, as a ring:
 * from a cursor on `freeCount` of them in a row are free, the others are in use. Each turn takes the
 * first free page into use and frees the one that was in use for longest, so one number in the
 * registers says of every page whether it is free, at whatever site.
 */
export class FreeRing {
  /** Pages free at any time. */
  readonly freeCount: number;
  /** Pages that take part; 0 where the workload frees nothing. */
  readonly length: number;
  /** The first page that takes part: all before it are always in use. */
  readonly firstPage: number;

  /** @param freeMiB what is to be free; at most three quarters of the memory will */
  constructor(pageCount: number, freeMiB: number) {
    const wantedPages = Math.floor(freeMiB * 2 ** 20 / PAGE_BYTES);
    this.freeCount = Math.min(wantedPages, Math.floor(pageCount * FREE_RATIO_MAX));
    this.length = this.freeCount + Math.ceil(this.freeCount / FREE_PAGES_PER_USED);
    this.firstPage = pageCount - this.length;
  }

  isFree(page: number, cursor: number): boolean {
    if (page < this.firstPage) return false;
    const afterCursor = (page - this.firstPage - cursor + this.length) % this.length;
    return afterCursor < this.freeCount;
  }

  /** The page that the next turn takes into use; it holds whatever was left there. */
  nextUsed(cursor: number): number {
    return this.firstPage + cursor;
  }

  /** The cursor after that turn. */
  advanced(cursor: number): number {
    return (cursor + 1) % this.length;
  }
}
