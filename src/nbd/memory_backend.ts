import { type Extent, mergeExtents } from "../core/extents.ts";
import type { NbdBackend } from "./backend.ts";

/** A disk in memory, sparse by blocks; for tests and small demonstrations. */
export class MemoryBackend implements NbdBackend {
  readonly sizeBytes: number;
  readonly #blockBytes: number;
  readonly #blocks = new Map<number, Uint8Array>();

  constructor(sizeBytes: number, blockBytes = 4096) {
    this.sizeBytes = sizeBytes;
    this.#blockBytes = blockBytes;
  }

  read(offsetBytes: number, into: Uint8Array): Promise<void> {
    for (const part of this.#parts(offsetBytes, into.length)) {
      const target = into.subarray(part.at, part.at + part.lengthBytes);
      const block = this.#blocks.get(part.index);
      if (block) target.set(block.subarray(part.start, part.start + part.lengthBytes));
      else target.fill(0);
    }
    return Promise.resolve();
  }

  write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    for (const part of this.#parts(offsetBytes, bytes.length)) {
      let block = this.#blocks.get(part.index);
      if (!block) this.#blocks.set(part.index, block = new Uint8Array(this.#blockBytes));
      block.set(bytes.subarray(part.at, part.at + part.lengthBytes), part.start);
    }
    return Promise.resolve();
  }

  zero(offsetBytes: number, lengthBytes: number, { noHole }: { noHole: boolean }): Promise<void> {
    for (const part of this.#parts(offsetBytes, lengthBytes)) {
      const whole = part.lengthBytes === this.#blockBytes;
      if (whole && !noHole) this.#blocks.delete(part.index);
      else this.#blocks.get(part.index)?.fill(0, part.start, part.start + part.lengthBytes);
    }
    return Promise.resolve();
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  status(offsetBytes: number, lengthBytes: number): Promise<Extent[]> {
    const extents: Extent[] = [];
    for (const part of this.#parts(offsetBytes, lengthBytes)) {
      const kind = this.#blocks.has(part.index) ? "data" : "zero";
      extents.push({ offsetBytes: offsetBytes + part.at, lengthBytes: part.lengthBytes, kind });
    }
    return Promise.resolve(mergeExtents(extents));
  }

  /** The blocks that a range touches: `at` counts from the range, `start` from the block. */
  *#parts(offsetBytes: number, lengthBytes: number) {
    for (let at = 0; at < lengthBytes;) {
      const index = Math.floor((offsetBytes + at) / this.#blockBytes);
      const start = (offsetBytes + at) % this.#blockBytes;
      const partBytes = Math.min(this.#blockBytes - start, lengthBytes - at);
      yield { index, start, at, lengthBytes: partBytes };
      at += partBytes;
    }
  }
}
