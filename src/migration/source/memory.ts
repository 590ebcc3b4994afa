import type { MemoryItem } from "../../guest/memory_items.ts";
import type { MemorySource } from "../../guest/guest.ts";
import type { MemoryEncoder } from "../../codec/memory_encoder.ts";
import { inlineSealer, type Sealer } from "../../codec/sealer.ts";
import type { Clock } from "../../core/clock.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { Changes } from "../changes.ts";
import type { TrafficMeter } from "../traffic.ts";
import { KeptInFlight } from "./kept_in_flight.ts";
import { LinkShare } from "./link_share.ts";
import { NamedPages } from "./named_pages.ts";
import { ParkedPages } from "./parked_pages.ts";
import type { SentPages } from "./sent_pages.ts";
import { SealedQueue } from "./sealed_queue.ts";

/**
 * Contents of kept pages that the destination has not applied yet. At 100 ms round trip it lets
 * 160 MB/s through, about what the destination reads and checks.
 */
export const KEPT_IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024;

/** What a pump is given beside its stream. */
export interface PumpSettings {
  readonly encoder: MemoryEncoder;
  /** Packs its batches; without one this thread does. */
  readonly sealer?: Sealer;
  readonly channel: Channel;
  readonly meter: TrafficMeter;
  readonly clock: Pick<Clock, "nowMs">;
  /** Told of each frame, for a repair. */
  readonly sent: SentPages;
  /** Pages that wait for the link, in bytes. */
  readonly poolBytesMax: number;
  /** Ends it without a word. */
  readonly stop: AbortSignal;
}

/**
 * Moves one memory stream into the memory channel: one half reads the machine and parks its pages,
 * the other sends them as the link takes them. A full pool is the back-pressure: then the machine's
 * own passes wait. Everything but pages keeps its place: what was parked before it goes before it.
 */
export class MemoryPump {
  /** Bytes of memory that the machine's stream has named, zero pages included. */
  readBytes = 0;
  opaqueBytes = 0;
  opaqueReason: string | null = null;
  /** Resolves when the stream has ended and its last frame is numbered; rejects as soon as it breaks. */
  readonly drained: Promise<void>;
  /** Resolves, however the stream ended, when no frame of it will be numbered any more. */
  readonly silent: Promise<void>;
  #parked: ParkedPages | null = null;
  #named: NamedPages | null = null;
  #hasEnded = false;
  #isDiscarded = false;
  #isSending = false;
  #failure: { readonly error: unknown } | null = null;
  #countedReplacedBytes = 0;
  readonly #changes = new Changes();
  readonly #share: LinkShare;
  readonly #queue: SealedQueue;
  readonly #kept = new KeptInFlight();

  constructor(readonly source: MemorySource, private readonly settings: PumpSettings) {
    const sealer = settings.sealer ?? inlineSealer;
    this.#share = new LinkShare(settings.clock, sealer.ahead);
    this.#queue = new SealedQueue(sealer, (payload, bodyBytes) => this.#send(payload, bodyBytes));
    const reading = this.#read();
    const sending = this.#sendParked();
    this.drained = this.#run(reading, sending);
    this.drained.catch(() => {});
    this.silent = Promise.allSettled([reading, sending]).then(() => this.#queue.idle());
  }

  /** Bytes of batches that are encoded and not numbered yet, before compression. */
  get sealingBytes(): number {
    return this.#queue.waitingBytes;
  }

  /** Bytes of pages that were read from the machine and are not encoded yet. */
  get parkedBytes(): number {
    return this.#parked?.waitingBytes ?? 0;
  }

  /**
   * Bytes of pages that the stream never named, once it has ended: the machine calls them free. 0
   * where part of it was relayed unread, because that may name any page.
   */
  get leftOutBytes(): number {
    return this.opaqueReason === null ? this.#named?.missingBytes ?? 0 : 0;
  }

  /** Bytes of kept pages that the destination has not given to its machine yet. */
  get keptInFlightBytes(): number {
    return this.#kept.bytes(this.settings.channel.appliedByPeer);
  }

  /** The stream was given up: what is parked need not travel, the next one brings it again. */
  discard(): void {
    this.#isDiscarded = true;
    this.#parked?.clear();
    this.#changes.notify();
  }

  async #run(reading: Promise<void>, sending: Promise<void>): Promise<void> {
    const { stop } = this.settings;
    const wake = () => this.#changes.notify();
    stop.addEventListener("abort", wake);
    reading.catch(() => this.discard());
    // The reader may be waiting for room that nobody makes any more.
    sending.catch((error) => {
      this.#failure = { error };
      wake();
    });
    try {
      await Promise.all([reading, sending]);
    } finally {
      stop.removeEventListener("abort", wake);
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const items of this.source.items()) {
        this.#check();
        for (const item of items) await this.#accept(item);
        this.#changes.notify();
        this.#count();
      }
    } finally {
      this.#hasEnded = true;
      this.#changes.notify();
    }
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
    this.settings.stop.throwIfAborted();
  }

  async #accept(item: MemoryItem): Promise<void> {
    if (this.#isDiscarded) return;
    this.#named?.note(item);
    const parked = this.#parked;
    if (parked !== null && (item.kind === "pages" || item.kind === "zeros")) {
      this.readBytes += parked.bytesOf(item);
      const length = item.kind === "pages" ? item.pageIndexes.length : item.ranges.length;
      for (let at = parked.park(item, 0); at < length; at = parked.park(item, at)) {
        this.#changes.notify();
        await this.#changes.next();
        this.#check();
        if (this.#isDiscarded) return;
      }
      return;
    }
    this.#changes.notify();
    while (!this.#isIdle() && !this.#isDiscarded) {
      await this.#changes.next();
      this.#check();
    }
    if (this.#isDiscarded) return;
    if (item.kind === "layout") {
      this.#countedReplacedBytes = 0;
      this.#named = NamedPages.of(item);
      this.#parked = new ParkedPages(item, this.settings.poolBytesMax, this.settings.encoder);
    }
    if (item.kind === "opaque") this.#note(item);
    await this.#encode([item]);
    await this.#flush();
  }

  /** Nothing is parked, nothing is half encoded. */
  #isIdle(): boolean {
    return (this.#parked?.isEmpty ?? true) && !this.#isSending;
  }

  /** Takes page after page out of the pool until the stream has ended and nothing is left. */
  async #sendParked(): Promise<void> {
    for (;;) {
      await this.#changes.until(() => !(this.#parked?.isEmpty ?? true) || this.#hasEnded);
      this.settings.stop.throwIfAborted();
      const parked = this.#parked;
      if (parked === null || parked.isEmpty) return;
      this.#isSending = true;
      this.#share.begin();
      try {
        while (!parked.isEmpty) {
          await this.#encode(parked.take());
          this.#changes.notify();
        }
        // Nothing waits in the encoder for company: what is parked becomes downtime.
        await this.#flush();
      } finally {
        this.#isSending = false;
      }
      this.#changes.notify();
    }
  }

  #note({ bytes, reason }: Extract<MemoryItem, { kind: "opaque" }>): void {
    this.opaqueBytes += bytes.byteLength;
    if (reason !== undefined) this.opaqueReason ??= reason;
  }

  /** Encodes at once, and only then waits: the reader looks at what the encoder knows meanwhile. */
  async #encode(items: readonly MemoryItem[]): Promise<void> {
    for (const batch of this.settings.encoder.addOpen(items)) this.#queue.put(batch);
    const { batchesAhead } = this.#share;
    if (!this.#queue.hasRoom(batchesAhead)) await this.#queue.room(batchesAhead);
    this.settings.stop.throwIfAborted();
  }

  /** Resolves when all that was encoded is numbered, and the link has room for more. */
  async #flush(): Promise<void> {
    for (const batch of this.settings.encoder.flushOpen()) this.#queue.put(batch);
    if (!this.#queue.hasRoom(1)) await this.#queue.room(1);
    this.#count();
  }

  /** Numbered in the encoder's order and whatever happens to its stream: the encoder counts on it. */
  async #send(payload: Uint8Array, bodyBytes: number): Promise<void> {
    const { channel, encoder, sent, stop } = this.settings;
    encoder.packed(bodyBytes, payload.byteLength);
    this.#count();
    stop.throwIfAborted();
    const sending = channel.send(FRAME_TYPES.memoryBatch, payload);
    const sequence = channel.lastSent;
    sent.note(sequence, encoder.numbered(sequence), channel.appliedByPeer);
    await this.#share.waiting(sending);
    encoder.bottleneck = this.#share.bottleneck;
    stop.throwIfAborted();
    this.#kept.sent(sequence, encoder.totals.saved.warm);
    while (this.#kept.oldest !== null && this.keptInFlightBytes > KEPT_IN_FLIGHT_BYTES_MAX) {
      await this.#share.waiting(channel.whenAppliedByPeer(this.#kept.oldest));
      stop.throwIfAborted();
    }
  }

  #count(): void {
    const { meter, encoder } = this.settings;
    meter.follow(encoder.totals);
    const replaced = this.#parked?.replacedBytes ?? 0;
    meter.replaced(replaced - this.#countedReplacedBytes);
    this.#countedReplacedBytes = replaced;
  }
}
