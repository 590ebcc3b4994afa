import { createMemoryEncoder, type MemoryEncoder } from "../../src/codec/memory_encoder.ts";
import type { Sealer } from "../../src/codec/sealer.ts";
import type { MemorySource } from "../../src/guest/guest.ts";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import type { PageImage } from "../../src/image/page_image.ts";
import type { Channel } from "../../src/link/peer_link.ts";
import { MemoryPump } from "../../src/migration/source/memory.ts";
import { SentPages } from "../../src/migration/source/sent_pages.ts";
import { TrafficMeter } from "../../src/migration/traffic.ts";
import { createStreamReader } from "../../src/qemu/stream/reader.ts";

const POOL_BYTES = 256 * 2 ** 20;

/** How much a batch is packed: as where the link is the limit, or where the CPU is. */
export type Packing = "strong" | "fast";

/**
 * The whole way of memory at the source, as a gateway has it: socket bytes, reader, pool, encoder,
 * batches; behind it a link that takes everything at once.
 */
export class SourcePipeline {
  readonly encoder: MemoryEncoder;
  readonly #meter = new TrafficMeter();

  constructor(
    openImage: (pageBytes: number) => PageImage,
    private readonly packing: Packing,
    private readonly sealer?: Sealer,
  ) {
    this.encoder = createMemoryEncoder({ memory: { openImage, reachPages: () => Infinity } });
  }

  /** Sends one stream; what was sent before is known to the encoder. */
  async send(chunks: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const payloads: Uint8Array[] = [];
    // The sender judges link and CPU by this clock: it has always worked, or once, after which it
    // packs several batches at once where it can, or never.
    let atMs = 0;
    const isParallel = (this.sealer?.ahead ?? 1) > 1;
    const works = () => this.packing === "fast" || (isParallel && payloads.length === 0);
    const channel = {
      send(_: number, payload: Uint8Array) {
        if (works()) atMs += 1000;
        return Promise.resolve(payloads.push(payload));
      },
    };
    const pump = new MemoryPump({ items: () => itemsOf(chunks) } as unknown as MemorySource, {
      encoder: this.encoder,
      sealer: this.sealer,
      channel: channel as unknown as Channel,
      meter: this.#meter,
      sent: new SentPages(),
      clock: { nowMs: () => atMs },
      poolBytesMax: POOL_BYTES,
      stop: new AbortController().signal,
    });
    await pump.drained;
    return payloads;
  }
}

async function* itemsOf(chunks: readonly Uint8Array[]): AsyncGenerator<MemoryItem[]> {
  const reader = createStreamReader({ reuseContents: true });
  for (const chunk of chunks) {
    // As after the read of a socket: others have their turn.
    await new Promise<void>((resolve) => setImmediate(resolve));
    yield reader.push(chunk);
  }
  yield reader.end();
}
