import type { BatchNames, PageNames } from "../../codec/named_items.ts";
import { hintOf, nameKey, UNIT_BYTES } from "../../image/content_name.ts";
import type { Channel } from "../../link/peer_link.ts";
import type { SourceNames } from "./names.ts";

/** What one batch has named and carried. */
interface Batch {
  readonly named: string[];
  readonly carried: number[];
}

interface Kept {
  readonly content: Uint8Array;
  /** Batches that name it and are not applied. */
  uses: number;
}

/**
 * The names on one channel: keeps what was named until the peer has applied the frame that named it,
 * and tells what the peer has by then.
 */
export class NamedFrames implements PageNames {
  #open: Batch = { named: [], carried: [] };
  readonly #flying: { readonly sequence: number; readonly batch: Batch }[] = [];
  readonly #kept = new Map<string, Kept>();
  /** The peer passes over what has this number or a higher one. */
  #voidFrom = Infinity;

  /** @param keepsCarried what travels whole can be named later */
  constructor(
    private readonly names: SourceNames,
    private readonly channel: Pick<Channel, "appliedByPeer">,
    private readonly keepsCarried: boolean,
  ) {}

  mayName(name: Uint32Array): boolean {
    if (!this.names.isKnown(name)) return false;
    if (!this.names.hasRoom) this.names.settle();
    return this.names.hasRoom;
  }

  named(name: Uint32Array, content: Uint8Array): void {
    const key = nameKey(name);
    const kept = this.#kept.get(key);
    if (kept !== undefined) kept.uses++;
    else {
      this.#kept.set(key, { content: new Uint8Array(content), uses: 1 });
      this.names.keptBytes += UNIT_BYTES;
    }
    this.#open.named.push(key);
    this.names.namedCount++;
  }

  carried(name: Uint32Array): void {
    if (this.keepsCarried) this.#open.carried.push(hintOf(name));
  }

  closeBatch(): BatchNames {
    const batch = this.#open;
    this.#open = { named: [], carried: [] };
    return {
      sent: (sequence) => {
        if (sequence >= this.#voidFrom) batch.carried.length = 0;
        this.#flying.push({ sequence, batch });
        this.names.settle();
      },
      dropped: () => {
        this.names.namedCount -= batch.named.length;
        this.#release(batch);
      },
    };
  }

  /**
   * The peer asks for a repair: it applies none of the frames from `sequence` on, so it has nothing of
   * what they carry. What they name stays here until they are acknowledged all the same: until the
   * peer has heard of the repair it may still ask for it.
   */
  voidFrom(sequence: number): void {
    this.#voidFrom = Math.min(this.#voidFrom, sequence);
    for (const each of this.#flying) {
      if (each.sequence >= sequence) each.batch.carried.length = 0;
    }
  }

  /** Every frame that the peer passes over is numbered: what comes next is applied. */
  streamBegins(): void {
    this.#voidFrom = Infinity;
  }

  /** What was named by this name in a frame that is not applied yet. */
  contentOf(name: Uint32Array): Uint8Array | null {
    return this.#kept.get(nameKey(name))?.content ?? null;
  }

  /** Lets go of what the peer has applied. */
  settle(): void {
    const { appliedByPeer } = this.channel;
    while (this.#flying.length > 0 && this.#flying[0].sequence <= appliedByPeer) {
      const { batch } = this.#flying.shift()!;
      for (const hint of batch.carried) this.names.applied(hint);
      this.#release(batch);
    }
  }

  #release({ named }: Batch): void {
    for (const key of named) {
      const kept = this.#kept.get(key)!;
      if (--kept.uses > 0) continue;
      this.#kept.delete(key);
      this.names.keptBytes -= UNIT_BYTES;
    }
  }
}
