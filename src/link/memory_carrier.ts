import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Carrier } from "./carrier.ts";
import type { PathMeasurement } from "./peer_link.ts";

export interface MemoryPathOptions {
  readonly clock: Clock;
  /** Numbers in [0, 1), from a seeded generator; used for jitter only. */
  readonly random: () => number;
  /** One way, before jitter. */
  readonly delayMs: number;
  /** Added evenly between 0 and this to each record by itself: records overtake each other. */
  readonly jitterMs: number;
  /** Rate at which `send` takes records; null: at once. */
  readonly bytesPerSecond: number | null;
  /** Share of records delivered a second time. */
  readonly duplicateRatio?: number;
  /** What it stands for; default "memory". */
  readonly kind?: Carrier["kind"];
}

export interface MemoryEnd {
  readonly peerName: string;
  readonly peerIncarnation: string;
}

/** Two joined ends in memory, for tests and the simulator. */
export interface MemoryCarrierPair {
  readonly a: Carrier;
  readonly b: Carrier;
  /** Records under way are lost, both ends close. */
  cut(reason: string): void;
  /** While stalled nothing arrives and nothing is lost, as in an outage; senders wait. */
  stall(stalled: boolean): void;
}

/** Joins two gateways. `a` and `b` say whom each end believes to talk to. */
export function memoryCarrierPair(
  options: MemoryPathOptions,
  a: MemoryEnd,
  b: MemoryEnd,
): MemoryCarrierPair {
  const path = new MemoryPath(options);
  const endA = new MemoryCarrier(path, a);
  const endB = new MemoryCarrier(path, b);
  path.ends = [endA, endB];
  return {
    a: endA,
    b: endB,
    cut: (reason) => path.cut(reason),
    stall: (stalled) => path.stall(stalled),
  };
}

class MemoryPath {
  ends: readonly MemoryCarrier[] = [];
  isCut = false;
  #stalled: Promise<void> | null = null;
  #resume = () => {};

  constructor(readonly options: MemoryPathOptions) {}

  cut(reason: string): void {
    if (this.isCut) return;
    this.isCut = true;
    for (const end of this.ends) end.onCut(reason);
    this.stall(false);
  }

  stall(stalled: boolean): void {
    if (stalled && !this.#stalled) {
      this.#stalled = new Promise((resolve) => this.#resume = resolve);
    } else if (!stalled && this.#stalled) {
      this.#stalled = null;
      this.#resume();
    }
  }

  /** Resolves while the path works. */
  async ready(): Promise<void> {
    while (this.#stalled && !this.isCut) await this.#stalled;
  }

  async carry(record: Uint8Array, from: MemoryCarrier): Promise<void> {
    const { clock, random, delayMs, jitterMs, duplicateRatio = 0 } = this.options;
    const copies = duplicateRatio > 0 && random() < duplicateRatio ? 2 : 1;
    const to = this.ends.find((end) => end !== from)!;
    for (let copy = 0; copy < copies; copy++) {
      const arrival = clock.sleep(delayMs + random() * jitterMs);
      await this.ready();
      void arrival.then(() => this.ready()).then(() => {
        if (this.isCut) return;
        if (copy === 0) from.deliveredBytes += record.byteLength;
        to.deliver(record);
      });
    }
  }
}

class MemoryCarrier implements Carrier {
  readonly kind: Carrier["kind"];
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly closed: Promise<{ readonly reason: string }>;
  deliveredBytes = 0;
  readonly #path: MemoryPath;
  #handler: ((record: Uint8Array) => Promise<void> | void) | null = null;
  #early: Uint8Array[] = [];
  #onClosed!: (end: { readonly reason: string }) => void;
  #lastHeardMs: number | null = null;
  /** When the paced lane is free again. */
  #freeAtMs = 0;

  constructor(path: MemoryPath, end: MemoryEnd) {
    this.#path = path;
    this.kind = path.options.kind ?? "memory";
    this.peerName = end.peerName;
    this.peerIncarnation = end.peerIncarnation;
    this.closed = new Promise((resolve) => this.#onClosed = resolve);
  }

  packetBytes(recordBytes: number): number {
    return recordBytes;
  }

  pace(): void {
    // Records are the smallest unit here.
  }

  async send(record: Uint8Array, urgent: boolean): Promise<void> {
    const { clock, bytesPerSecond } = this.#path.options;
    await this.#path.ready();
    if (bytesPerSecond !== null) {
      const nowMs = clock.nowMs();
      const startMs = Math.max(nowMs, this.#freeAtMs);
      this.#freeAtMs = startMs + record.byteLength * 1000 / bytesPerSecond;
      // An urgent record overtakes what waits, and is paid for by what comes after it.
      if (!urgent) await clock.sleep(this.#freeAtMs - nowMs);
    }
    if (this.#path.isCut) {
      throw new GatewayError("link_closed", "Cannot send: the connection is closed", {
        hint: "The link dials again by itself",
      });
    }
    await this.#path.carry(record, this);
  }

  receive(handler: (record: Uint8Array) => Promise<void> | void): void {
    this.#handler = handler;
    for (const record of this.#early.splice(0)) void handler(record);
  }

  deliver(record: Uint8Array): void {
    this.#lastHeardMs = this.#path.options.clock.nowMs();
    if (this.#handler === null) this.#early.push(record);
    else void this.#handler(record);
  }

  path(): PathMeasurement {
    const { clock, delayMs, jitterMs, bytesPerSecond } = this.#path.options;
    return {
      roundTripMs: 2 * delayMs + jitterMs,
      minRoundTripMs: 2 * delayMs,
      bottleneckBytesPerSecond: bytesPerSecond,
      goodputBytesPerSecond: null,
      lossRatio: 0,
      queueMs: 0,
      // Of two values that are even between 0 and this.
      jitterMs: jitterMs / 3,
      silentMs: this.#lastHeardMs === null ? null : clock.nowMs() - this.#lastHeardMs,
    };
  }

  close(reason: string): Promise<void> {
    this.#path.cut(reason);
    return Promise.resolve();
  }

  onCut(reason: string): void {
    this.#onClosed({ reason });
  }
}
