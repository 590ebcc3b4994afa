import type { Spill } from "../spill.ts";

/** A spill in memory, for tests. It spoils what it was given, as an encryption in place would. */
export function memorySpill(pageBytes: number): Spill {
  const kept = new Map<number, { number: number; bytes: Uint8Array }>();
  let next = 1;
  return {
    write(pages, contents) {
      const first = next;
      pages.forEach((page, i) => {
        // Not `slice`: that of a Buffer is a view.
        const bytes = new Uint8Array(contents.subarray(i * pageBytes, (i + 1) * pageBytes));
        kept.set(page, { number: next++, bytes });
      });
      contents.fill(0xee);
      return first;
    },
    read(page, writeNumber, into) {
      const found = kept.get(page);
      if (found?.number !== writeNumber) throw new Error(`page ${page} was not written like that`);
      into.set(found.bytes);
    },
    get storedBytes() {
      return kept.size * pageBytes;
    },
    close() {
      kept.clear();
    },
  };
}
