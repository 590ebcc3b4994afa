import type { MemoryItem } from "../../guest/memory_items.ts";

/**
 * Opaque bytes that are held back at most. Device state and the description behind it have some
 * 160 KB on a usual machine; of a larger tail the last part is held, which has the end in it.
 */
export const HELD_BYTES_MAX = 4 * 1024 * 1024;

type Opaque = Extract<MemoryItem, { kind: "opaque" }>;

/**
 * Keeps the end of the stream back until it is asked for: opaque items with nothing behind them.
 *
 * QEMU takes the machine over when it reads the end. That must not happen before the disks are
 * sealed, and as long as it has not happened a new stream can still replace this one.
 */
export class HeldEnd {
  #held: Opaque[] = [];
  #heldBytes = 0;

  /** @returns the items that may go out now, in order */
  push(items: readonly MemoryItem[]): MemoryItem[] {
    const out: MemoryItem[] = [];
    for (const item of items) {
      if (item.kind !== "opaque") {
        out.push(...this.release(), item);
        continue;
      }
      this.#held.push(item);
      this.#heldBytes += item.bytes.length;
    }
    while (this.#heldBytes > HELD_BYTES_MAX) {
      const first = this.#held[0];
      const excess = this.#heldBytes - HELD_BYTES_MAX;
      if (first.bytes.length <= excess) {
        out.push(first);
        this.#held.shift();
        this.#heldBytes -= first.bytes.length;
      } else {
        out.push({ ...first, bytes: first.bytes.subarray(0, excess) });
        this.#held[0] = { ...first, bytes: first.bytes.subarray(excess) };
        this.#heldBytes -= excess;
      }
    }
    return out;
  }

  /** Gives what is held. */
  release(): MemoryItem[] {
    const held = this.#held;
    this.clear();
    return held;
  }

  /** Forgets what is held: its stream was cancelled. */
  clear(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
