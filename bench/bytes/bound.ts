import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { constants, zstdCompressSync } from "node:zlib";
import type { Snapshot } from "./machine.ts";

export const PAGE_BYTES = 4096;
/** What an image of a disk is compared by when the machine comes home. */
export const BLOCK_BYTES = 65_536;

const BATCH_BYTES = 1024 * 1024;
const LEVEL = 3;

/** Bytes that something takes when it is packed: zstd level 3 over batches of 1 MiB. */
export interface Packed {
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** Whether a unit has to cross; `unit` is reused, and never all zeros. */
export type Selection = (unit: Uint8Array, offsetBytes: number) => boolean;

/** Packs units one after the other and says what they take together. */
export class PackedSize {
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #filledBytes = 0;
  #packedBytes = 0;

  add(unit: Uint8Array): void {
    for (let at = 0; at < unit.length;) {
      const part = unit.subarray(at, at + BATCH_BYTES - this.#filledBytes);
      this.#batch.set(part, this.#filledBytes);
      this.#filledBytes += part.length;
      at += part.length;
      if (this.#filledBytes === BATCH_BYTES) this.#pack();
    }
  }

  finish(): number {
    if (this.#filledBytes > 0) this.#pack();
    return this.#packedBytes;
  }

  #pack(): void {
    const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
    const bytes = this.#batch.subarray(0, this.#filledBytes);
    // As everybody, the bound sends raw what does not shrink.
    this.#packedBytes += Math.min(bytes.length, zstdCompressSync(bytes, { params }).length);
    this.#filledBytes = 0;
  }
}

/** Memory and disk without what is zero. */
export function wholeContent(snapshot: Snapshot): Packed {
  return packed(snapshot, PAGE_BYTES, () => () => true);
}

/**
 * The pages and the disk's units that are another in `after` than in `before`, with their later
 * content. What changed and changed back, and all but the last of several changes, is left out.
 */
export function changedContent(before: Snapshot, after: Snapshot, diskUnitBytes: number): Packed {
  return packed(after, diskUnitBytes, (which) => {
    const old = Deno.readFileSync(before[which]);
    return (unit, offsetBytes) =>
      Buffer.compare(unit, old.subarray(offsetBytes, offsetBytes + unit.length)) !== 0;
  });
}

/** What of a machine another one did not have, by the content of 4 KiB, wherever it was. */
export function contentUnknownTo(known: Snapshot, snapshot: Snapshot): Packed {
  const digests = new Set<string>();
  for (const path of [known.memoryPath, known.diskPath]) {
    eachUnit(path, PAGE_BYTES, (unit) => digests.add(hash("sha256", unit)));
  }
  return packed(snapshot, PAGE_BYTES, () => (unit) => !digests.has(hash("sha256", unit)));
}

export function packedTotal({ memoryBytes, diskBytes }: Packed): number {
  return memoryBytes + diskBytes;
}

function packed(
  snapshot: Snapshot,
  diskUnitBytes: number,
  selection: (which: keyof Snapshot) => Selection,
): Packed {
  const sizeOf = (which: keyof Snapshot, unitBytes: number) => {
    const size = new PackedSize();
    const wanted = selection(which);
    eachUnit(snapshot[which], unitBytes, (unit, offsetBytes) => {
      if (wanted(unit, offsetBytes)) size.add(unit);
    });
    return size.finish();
  };
  return {
    memoryBytes: sizeOf("memoryPath", PAGE_BYTES),
    diskBytes: sizeOf("diskPath", diskUnitBytes),
  };
}

/** Calls `visit` for every unit of a file that is not all zeros. */
function eachUnit(
  path: string,
  unitBytes: number,
  visit: (unit: Uint8Array, offsetBytes: number) => void,
): void {
  const zeros = Buffer.alloc(unitBytes);
  const chunk = Buffer.alloc(BATCH_BYTES);
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    for (let at = 0; at < size;) {
      const count = readSync(file, chunk, 0, Math.min(chunk.length, size - at), at);
      if (count === 0) throw new Error(`${path} became shorter`);
      // The end of a chunk that was read in part is read again with the next one.
      const whole = at + count === size ? count : count - count % unitBytes;
      for (let from = 0; from < whole; from += unitBytes) {
        const unit = chunk.subarray(from, Math.min(from + unitBytes, whole));
        if (!unit.equals(zeros.subarray(0, unit.length))) visit(unit, at + from);
      }
      at += whole;
    }
  } finally {
    closeSync(file);
  }
}
