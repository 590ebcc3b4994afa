/**
 * Where contents go that do not fit in memory. `spill_file.ts` writes them to an encrypted file;
 * implementations throw `image_io` when that fails.
 */
export interface Spill {
  /**
   * Keeps the contents of pages, back to back in `contents`, which is the caller's again afterwards
   * (and may have been changed).
   *
   * @returns a number from 1; `read` of the page at place i takes it plus i
   */
  write(pages: readonly number[], contents: Uint8Array): number;
  /** Gives what was written last for this page. */
  read(page: number, writeNumber: number, into: Uint8Array): void;
  /** Bytes that it takes where it keeps them. */
  readonly storedBytes: number;
  /** Forgets everything and gives the space back. Idempotent. */
  close(): void;
}
