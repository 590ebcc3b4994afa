import type { MemoryItem } from "../../guest/memory_items.ts";
import type { MemorySource } from "../../guest/guest.ts";
import type { MemoryEncoder } from "../../codec/memory_encoder.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { TrafficMeter } from "../traffic.ts";

/**
 * Moves one memory stream into the memory channel. Not reading is the back-pressure: when the link
 * takes no more, the machine's own passes wait.
 */
export class MemoryPump {
  opaqueBytes = 0;
  opaqueReason: string | null = null;
  /** Resolves when the stream has ended and its last frame is numbered; rejects when it broke. */
  readonly drained: Promise<void>;

  constructor(
    readonly source: MemorySource,
    private readonly encoder: MemoryEncoder,
    private readonly channel: Channel,
    private readonly meter: TrafficMeter,
    private readonly stop: AbortSignal,
  ) {
    this.drained = this.#run();
    this.drained.catch(() => {});
  }

  async #run(): Promise<void> {
    for await (const items of this.source.items()) {
      this.stop.throwIfAborted();
      for (const item of items) this.#note(item);
      for (const payload of this.encoder.add(items)) await this.#send(payload);
      // Nothing waits in the encoder for company: what is parked becomes downtime.
      for (const payload of this.encoder.flush()) await this.#send(payload);
      // Items that did not have to travel leave no payload.
      this.meter.follow(this.encoder.totals);
    }
  }

  #note(item: MemoryItem): void {
    if (item.kind !== "opaque") return;
    this.opaqueBytes += item.bytes.byteLength;
    if (item.reason !== undefined) this.opaqueReason ??= item.reason;
  }

  /** Numbered at once, whatever happens while it waits: the encoder counts on it. */
  async #send(payload: Uint8Array): Promise<void> {
    this.meter.follow(this.encoder.totals);
    await this.channel.send(FRAME_TYPES.memoryBatch, payload);
  }
}
