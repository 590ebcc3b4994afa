import { invariant } from "../../core/assert.ts";
import { MAX_HELD_BYTES } from "./format.ts";

/** The one incomplete record between two reads; grows as needed, never past `MAX_HELD_BYTES`. */
export class HeldBytes {
  private store = new Uint8Array(8 * 1024);
  private byteCount = 0;

  get length(): number {
    return this.byteCount;
  }

  /** A view; valid until the next `append` or `clear`. */
  get bytes(): Uint8Array {
    return this.store.subarray(0, this.byteCount);
  }

  append(bytes: Uint8Array): void {
    const total = this.byteCount + bytes.length;
    invariant(total <= MAX_HELD_BYTES, "the reader holds more than its limit");
    if (total > this.store.length) {
      const larger = new Uint8Array(
        Math.min(MAX_HELD_BYTES, Math.max(total, 2 * this.store.length)),
      );
      larger.set(this.bytes);
      this.store = larger;
    }
    this.store.set(bytes, this.byteCount);
    this.byteCount = total;
  }

  clear(): void {
    this.byteCount = 0;
  }
}
