import { type OpenBatch, pack } from "../../../codec/envelope.ts";
import { createMemoryDecoder } from "../../../codec/memory_decoder.ts";
import { createMemoryEncoder } from "../../../codec/memory_encoder.ts";
import type { Sealer } from "../../../codec/sealer.ts";
import { MemoryModel, PAGE } from "../../../codec/testing/memory_model.ts";
import type { MemorySource } from "../../../guest/guest.ts";
import type { MemoryItem } from "../../../guest/memory_items.ts";
import { PageImage } from "../../../image/page_image.ts";
import { memorySpill } from "../../../image/testing/memory_spill.ts";
import type { Channel } from "../../../link/peer_link.ts";
import { TrafficMeter } from "../../traffic.ts";
import { MemoryPump } from "../memory.ts";
import { SentPages } from "../sent_pages.ts";

/** A stream that gives what it is told to, when it is told to. */
export class FedStream {
  readonly #queue: MemoryItem[][] = [];
  #wake = () => {};
  #hasEnded = false;
  #failure: Error | null = null;
  taken = 0;

  feed(items: MemoryItem[]): void {
    this.#queue.push(items);
    this.#wake();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  break(error: Error): void {
    this.#failure = error;
    this.end();
  }

  async *items(): AsyncGenerator<MemoryItem[]> {
    for (;;) {
      while (this.#queue.length > 0) {
        this.taken++;
        yield this.#queue.shift()!;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#hasEnded) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

/** A channel that takes one frame for each turn that it is given. */
export class SlowChannel {
  readonly model = new MemoryModel();
  readonly opaque: string[] = [];
  readonly payloads: Uint8Array[] = [];
  isOpen = false;
  readonly #decoder = createMemoryDecoder(openImage);
  #waiting: (() => void)[] = [];

  /** The link takes one frame more. */
  turn(): void {
    this.#waiting.shift()?.();
  }

  open(): void {
    this.isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  send(_type: number, payload: Uint8Array): Promise<number> {
    this.payloads.push(payload);
    const items = this.#decoder.decode(payload);
    for (const item of items) {
      if (item.kind === "opaque") this.opaque.push(new TextDecoder().decode(item.bytes));
    }
    this.model.apply(items);
    if (this.isOpen) return Promise.resolve(0);
    return new Promise((resolve) => this.#waiting.push(() => resolve(0)));
  }
}

function openImage(pageBytes: number): PageImage {
  return new PageImage(pageBytes, 0, memorySpill(pageBytes));
}

/** Packs several at once, and is done with them in any order, when it is told to. */
export class SlowSealer implements Sealer {
  readonly ahead = 4;
  #waiting: (() => void)[] = [];

  seal(batch: OpenBatch): Promise<Uint8Array> {
    const payload = pack(batch);
    return new Promise((resolve) => this.#waiting.push(() => resolve(payload)));
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** One batch more is packed. */
  turn(which = 0): void {
    const [go] = this.#waiting.splice(which % Math.max(1, this.#waiting.length), 1);
    go?.();
  }
}

export interface PumpOptions {
  readonly poolPages?: number;
  readonly disable?: "duplicate"[];
  readonly batchBytes?: number;
  readonly sealer?: Sealer;
  /** For the judgement of link and CPU. */
  readonly nowMs?: () => number;
}

/** A pump over all of these, and what it is made of. */
export function fedPump(options: PumpOptions = {}) {
  const { poolPages = 1000, disable = [], batchBytes = 256 * 1024, sealer } = options;
  const stream = new FedStream();
  const channel = new SlowChannel();
  const meter = new TrafficMeter();
  const stopping = new AbortController();
  const encoder = createMemoryEncoder({
    targetBytes: batchBytes,
    memory: { openImage, reachPages: () => Infinity },
    disable,
  });
  const pump = new MemoryPump(stream as unknown as MemorySource, {
    encoder,
    sealer,
    channel: channel as unknown as Channel,
    meter,
    sent: new SentPages(),
    clock: { nowMs: options.nowMs ?? (() => 0) },
    poolBytesMax: poolPages * PAGE,
    stop: stopping.signal,
  });
  return { pump, stream, channel, meter, encoder, stopping };
}

/** Everything that can go on without the outside has gone on. */
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Opaque bytes of a stream, by a text. */
export function opaque(text: string): MemoryItem {
  return { kind: "opaque", bytes: new TextEncoder().encode(text) };
}
