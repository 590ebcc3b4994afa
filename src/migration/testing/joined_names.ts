import { hintOf, nameBuffer, nameContent, nameKey } from "../../image/content_name.ts";
import { encodeStoreOffer } from "../../codec/store_offer.ts";
import type { Channel } from "../../link/peer_link.ts";
import { MoveNames } from "../destination/names.ts";
import { SentHints } from "../source/sent_hints.ts";
import { SourceNames } from "../source/names.ts";
import type { MoveStore } from "../store.ts";

/** A store that loses each `losesEach`-th content that it is given: its name has to be asked for. */
export class LossyStore implements MoveStore {
  readonly bytesMax = 64 * 1024 * 1024;
  readonly keepsMemory = true;
  readonly #contents = new Map<string, Uint8Array>();
  readonly #hints = new Set<number>();
  #putCount = 0;

  constructor(private readonly losesEach: number) {}

  offer(): Float64Array {
    return Float64Array.from(this.#hints).sort();
  }

  get(name: Uint32Array, into: Uint8Array): boolean {
    const content = this.#contents.get(nameKey(name));
    // What is undefined where nothing is found must not matter.
    into.set(content ?? new Uint8Array(into.byteLength).fill(0xee));
    return content !== undefined;
  }

  put(_origin: "memory" | "disk", content: Uint8Array): void {
    const name = nameBuffer();
    nameContent(content, name);
    this.#hints.add(hintOf(name));
    if (++this.#putCount % this.losesEach === 0) return;
    this.#contents.set(nameKey(name), new Uint8Array(content));
  }

  release(): void {}
}

type Handler = Parameters<Channel["receive"]>[0];

/** One direction of a channel; the other end hears each frame at once. */
class Half {
  handler: Handler = () => Promise.reject(new Error("nobody listens"));
  other: Half | null = null;
  #lastSent = 0;

  async send(type: number, payload: Uint8Array): Promise<number> {
    const sequence = ++this.#lastSent;
    await this.other!.handler({ type, sequence, payload });
    return sequence;
  }

  receive(handler: Handler): void {
    this.handler = handler;
  }
}

/** How far a channel of batches is. */
export type Applied = Pick<Channel, "appliedByPeer">;

/**
 * Both ends' names of one move, joined by their channel for needs. The store's offer is made.
 *
 * @param needed as `SourceNames` tells it
 */
export function joinNames(
  store: MoveStore,
  channels: { readonly memory: Applied; readonly disk: Applied },
  needed: (contentCount: number, payloadBytes: number) => void,
): { readonly source: SourceNames; readonly destination: MoveNames } {
  const [here, there] = [new Half(), new Half()];
  [here.other, there.other] = [there, here];
  const source = new SourceNames(
    store,
    new SentHints(),
    here as unknown as Channel,
    channels,
    (_channel, contentCount, payloadBytes) => needed(contentCount, payloadBytes),
    (error) => {
      throw error;
    },
  );
  const destination = new MoveNames(store, there as unknown as Channel, () => {});
  for (const payload of encodeStoreOffer(store.offer())) source.offered.add(payload);
  return { source, destination };
}
