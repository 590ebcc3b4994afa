import type { PageNames } from "../../codec/named_items.ts";
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
  /** Batches on their way that name it. */
  uses: number;
}

/**
 * The names on one channel: keeps what was named until the peer has applied the frame that named it,
 * and tells what the peer has by then. Batches are framed in the order in which they are closed.
 */
export class NamedFrames implements PageNames {
  #open: Batch = { named: [], carried: [] };
  #closed: Batch[] = [];
  readonly #flying: { readonly sequence: number; readonly batch: Batch }[] = [];
  readonly #kept = new Map<string, Kept>();

  /** @param keepsCarried what travels whole can be named later */
  constructor(
    private readonly names: SourceNames,
    private readonly channel: Pick<Channel, "send" | "lastSent" | "appliedByPeer">,
    private readonly batchType: number,
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

  closeBatch(): void {
    this.#closed.push(this.#open);
    this.#open = { named: [], carried: [] };
  }

  /** Sends a frame of this channel; frames that are batches take what `closeBatch` closed. */
  send(type: number, payload: Uint8Array): Promise<number> {
    // The channel numbers at once and then waits.
    const sent = this.channel.send(type, payload);
    const batch = type === this.batchType ? this.#closed.shift() : undefined;
    if (batch !== undefined) this.#flying.push({ sequence: this.channel.lastSent, batch });
    this.names.settle();
    return sent;
  }

  /** What was named by this name in a frame that is not applied yet. */
  contentOf(name: Uint32Array): Uint8Array | null {
    return this.#kept.get(nameKey(name))?.content ?? null;
  }

  /** Lets go of what the peer has applied. */
  settle(): void {
    const { appliedByPeer } = this.channel;
    while (this.#flying.length > 0 && this.#flying[0].sequence <= appliedByPeer) {
      const { named, carried } = this.#flying.shift()!.batch;
      for (const hint of carried) this.names.applied(hint);
      for (const key of named) {
        const kept = this.#kept.get(key)!;
        if (--kept.uses > 0) continue;
        this.#kept.delete(key);
        this.names.keptBytes -= UNIT_BYTES;
      }
    }
  }
}
