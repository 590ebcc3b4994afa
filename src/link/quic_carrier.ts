import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import type { Carrier } from "./carrier.ts";
import { Pacer, type PacerPhase } from "./pacer.ts";
import { PacedSender } from "./pacer_bucket.ts";
import { decodePathDatagram, encodeFeedback, encodeMark, encodePing } from "./path_datagram.ts";
import { DeliveryRate } from "./path_delivery.ts";
import { PathEstimate } from "./path_estimate.ts";
import { PathReceiver } from "./path_receiver.ts";
import type { PathMeasurement } from "./peer_link.ts";
import { CHUNK_HEADER_BYTES, nextRecordNumber, RecordAssembler } from "./quic_chunks.ts";
import {
  CHUNK_BYTES_MAX,
  LANE_WINDOW_BYTES_MAX,
  type LaneEvents,
  type QuicLane,
} from "./quic_lane.ts";

/** Own heartbeats; each is answered at once. */
export const HEARTBEAT_MS = 250;
/** A bundle that heard nothing for so long is given up; the session has long dialled others. */
export const SILENCE_MS_MAX = 60_000;
/**
 * Bulk bytes under way or with the receiver, which bounds what it may have to keep of records whose
 * other half is late or whose handler is slow.
 */
export const BUNDLE_WINDOW_BYTES = 16 * 1024 * 1024;
/** How long a closing side waits for the other's end records. */
export const CLOSE_MS_MAX = 3_000;
/** A report about what arrived is due after this share of a round trip, within these bounds. */
const FEEDBACK_ROUND_TRIPS = 1 / 6;
const FEEDBACK_MS_MIN = 2;
const FEEDBACK_MS_MAX = 50;
/** What one lane may hold is its share of the rate for so many round trips and so long. */
const LANE_ROUND_TRIPS = 4;
const LANE_MS = 100;
const LANE_WINDOW_BYTES_MIN = 64 * 1024;
/** A chunk is what leaves in this time, in whole packets. */
const CHUNK_MS = 1;
const CHUNK_PACKETS_MIN = 2;
const CHUNK_PACKETS_MAX = 40;
/** Headers of a stream frame, beyond those of the datagram that the runtime's figure is for. */
const PACKET_SLACK_BYTES = 12;
/** A mark and its frame share the first packet. */
const MARK_BYTES = 20;
/** The rate counts as used up when something waited for it within this, or two round trips. */
const PACED_MS = 20;
/** Urgent records do not wait for their turn unless they alone are this far ahead of the rate. */
const URGENT_AHEAD_MS = 100;

export interface QuicCarrierOptions {
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly laneCount: number;
  readonly clock: Clock;
  readonly silenceMsMax: number;
  /** Called once nothing is left of the bundle. */
  readonly onGone: () => void;
}

/** A bundle of QUIC connections: lane 0 for urgent records and datagrams, the others for bulk. */
export class QuicCarrier implements Carrier {
  readonly kind = "quic";
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly closed: Promise<{ readonly reason: string }>;

  readonly #clock: Clock;
  readonly #options: QuicCarrierOptions;
  readonly #lanes: (QuicLane | null)[];
  readonly #assembler = new RecordAssembler();
  readonly #estimate = new PathEstimate();
  readonly #delivery = new DeliveryRate();
  readonly #pacer = new Pacer();
  readonly #sender = new PacedSender();
  readonly #receiver = new PathReceiver();
  readonly #handler = Promise.withResolvers<(record: Uint8Array) => Promise<void> | void>();
  readonly #gone = Promise.withResolvers<{ reason: string }>();
  readonly #ends = Promise.withResolvers<void>();
  #changed = Promise.withResolvers<void>();
  #state: "open" | "closing" | "gone" = "open";
  #bulkTail: Promise<void> = Promise.resolve();
  #urgentTail: Promise<void> = Promise.resolve();
  #recordNumber = 0;
  /** Bulk bytes sent, and of those, consumed by the peer as far as it told. */
  #bulkSentBytes = 0;
  #bulkConsumedByPeerBytes = 0;
  /** Bulk bytes consumed here. */
  #bulkConsumedBytes = 0;
  #endedLanes = 0;
  #closingReason: string | null = null;
  #lastHeardMs: number;
  /** When something last had to wait for the pacer. */
  #pacedAtMs = -Infinity;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #feedbackTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: QuicCarrierOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.peerName = options.peerName;
    this.peerIncarnation = options.peerIncarnation;
    this.closed = this.#gone.promise;
    this.#lanes = Array.from({ length: options.laneCount }, () => null);
    this.#lastHeardMs = this.#clock.nowMs();
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  get laneCount(): number {
    return this.#options.laneCount;
  }

  hasLane(index: number): boolean {
    return this.#lanes[index] !== null;
  }

  /** True once urgent and bulk records can go. */
  get isReady(): boolean {
    return this.#lanes[0] !== null && this.#bulkLanes().length > 0;
  }

  /** Adds an authenticated connection of this bundle. */
  join(lane: QuicLane): void {
    if (this.#state !== "open") return lane.conn.close({ closeCode: 0, reason: "bundle closed" });
    this.#lanes[lane.index] = lane;
    const events: LaneEvents = {
      heard: () => this.#heard(),
      record: (bytes) => this.#deliver(bytes, lane.index > 0),
      datagram: (bytes) => this.#datagram(bytes),
      pause: (ms) => this.#clock.sleep(ms),
    };
    void lane.conn.closed.then(
      ({ reason }) => this.#die(reason || "the peer closed the connection"),
      (error) => this.#die(messageOf(error)),
    );
    void lane.readDatagrams(events);
    lane.readStream(this.#assembler, events).then(() => this.#laneEnded(), (error) => {
      // A read that fails for the connection's sake is told better by `closed`.
      setTimeout(() => this.#die(messageOf(error)), error instanceof GatewayError ? 0 : 10);
    });
    if (lane.index === 0) lane.sendDatagram(encodePing(this.#clock.nowMs()));
    this.#notify();
  }

  receive(handler: (record: Uint8Array) => Promise<void> | void): void {
    this.#handler.resolve(handler);
  }

  send(record: Uint8Array, urgent: boolean): Promise<void> {
    if (record.length < 1 || record.length > RECORD_BYTES_MAX) {
      return Promise.reject(
        new RangeError(`A record has 1 to ${RECORD_BYTES_MAX} bytes, got ${record.length}`),
      );
    }
    if (this.#state !== "open") return Promise.reject(this.#linkClosed());
    const sent = urgent
      ? this.#urgentTail.then(() => this.#sendUrgent(record))
      : this.#bulkTail.then(() => this.#sendBulk(record));
    const settled = sent.catch(() => {});
    if (urgent) this.#urgentTail = settled;
    else this.#bulkTail = settled;
    return sent;
  }

  /** What the pacer does at this moment, for reports. */
  get pacing(): {
    phase: PacerPhase;
    rateBytesPerSecond: number;
    queueMs: number;
    inFlightBytes: number;
    windowBytes: number;
  } {
    const { phase, rateBytesPerSecond, queueMs, windowBytes } = this.#pacer;
    const { inFlightBytes } = this.#delivery;
    return { phase, rateBytesPerSecond, queueMs, inFlightBytes, windowBytes };
  }

  path(): PathMeasurement {
    const nowMs = this.#clock.nowMs();
    return {
      roundTripMs: this.#estimate.roundTripMs,
      minRoundTripMs: this.#estimate.minRoundTripMs,
      bottleneckBytesPerSecond: this.#pacer.bottleneckBytesPerSecond,
      goodputBytesPerSecond: this.#estimate.goodputBytesPerSecond(nowMs),
      lossRatio: this.#estimate.lossRatio(),
      silentMs: nowMs - this.#lastHeardMs,
    };
  }

  async close(reason: string): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#closingReason = reason;
      this.#notify();
      const timeout = new AbortController();
      void (async () => {
        await this.#writeEnds();
        await this.#ends.promise;
        this.#die(reason);
      })();
      void this.#clock.sleep(CLOSE_MS_MAX, timeout.signal).then(() => this.#die(reason), () => {});
      void this.closed.then(() => timeout.abort());
    }
    await this.closed;
  }

  async #sendUrgent(record: Uint8Array): Promise<void> {
    const lane = await this.#until(() => this.#lanes[0]);
    const recordNumber = this.#nextNumber();
    for (let at = 0; at < record.length; at += CHUNK_BYTES_MAX) {
      await this.#paced(URGENT_AHEAD_MS);
      const chunkBytes = Math.min(record.length - at, CHUNK_BYTES_MAX);
      await this.#write(lane, recordNumber, record, at, chunkBytes);
    }
  }

  async #sendBulk(record: Uint8Array): Promise<void> {
    const recordNumber = this.#nextNumber();
    for (let at = 0; at < record.length;) {
      await this.#paced(0);
      const lane = await this.#until(() => this.#emptiestLane());
      const chunkBytes = Math.min(record.length - at, this.#chunkBytes(lane));
      const sentMs = this.#clock.nowMs();
      const number = this.#delivery.markSent(sentMs, chunkBytes);
      lane.sendDatagram(encodeMark({ number, sentMs, chunkBytes }));
      this.#bulkSentBytes += chunkBytes;
      await this.#write(lane, recordNumber, record, at, chunkBytes);
      at += chunkBytes;
    }
  }

  async #write(
    lane: QuicLane,
    recordNumber: number,
    record: Uint8Array,
    offsetBytes: number,
    chunkBytes: number,
  ): Promise<void> {
    const { rateBytesPerSecond, memoryMs } = this.#pacer;
    const sentBytes = chunkBytes + CHUNK_HEADER_BYTES;
    this.#sender.sent(sentBytes, this.#clock.nowMs(), rateBytesPerSecond, memoryMs);
    try {
      await lane.writeChunk(recordNumber, record, offsetBytes, chunkBytes);
    } catch (cause) {
      throw this.#linkClosed(cause);
    }
  }

  /** Waits until the rate allows more, or is at most `aheadMs` exceeded. */
  async #paced(aheadMs: number): Promise<void> {
    for (;;) {
      if (this.#state !== "open") throw this.#linkClosed();
      const { rateBytesPerSecond, memoryMs } = this.#pacer;
      const nowMs = this.#clock.nowMs();
      const waitMs = this.#sender.waitMs(nowMs, rateBytesPerSecond, memoryMs);
      if (waitMs <= aheadMs) return;
      this.#pacedAtMs = nowMs;
      await this.#clock.sleep(Math.min(waitMs - aheadMs, HEARTBEAT_MS));
    }
  }

  /** The first value that is not null; looks again whenever something changed. */
  async #until<T>(look: () => T | null): Promise<T> {
    for (;;) {
      if (this.#state !== "open") throw this.#linkClosed();
      const value = look();
      if (value !== null) return value;
      await this.#changed.promise;
    }
  }

  /** The bulk lane with least under way, of those with room. */
  #emptiestLane(): QuicLane | null {
    let best: QuicLane | null = null;
    if (this.#bulkSentBytes - this.#bulkConsumedByPeerBytes >= BUNDLE_WINDOW_BYTES) return null;
    if (this.#delivery.inFlightBytes >= this.#pacer.windowBytes) {
      this.#pacedAtMs = this.#clock.nowMs();
      return null;
    }
    const lanes = this.#bulkLanes();
    const laneWindowBytes = this.#laneWindowBytes(lanes.length);
    for (const lane of lanes) {
      if (lane.outstandingBytes >= laneWindowBytes) continue;
      if (best === null || lane.outstandingBytes < best.outstandingBytes) best = lane;
    }
    return best;
  }

  /**
   * A lane whose connection is held up (by loss, or by its own congestion control) must not gather
   * what the others could carry: its share of some round trips, because loss delays all behind it.
   */
  #laneWindowBytes(laneCount: number): number {
    const ms = LANE_ROUND_TRIPS * (this.#estimate.minRoundTripMs ?? 0) + LANE_MS;
    const bytes = this.#pacer.rateBytesPerSecond * ms / 1000 / laneCount;
    return Math.min(LANE_WINDOW_BYTES_MAX, Math.max(LANE_WINDOW_BYTES_MIN, bytes));
  }

  /** A few packets that are all full: a half-empty one costs as much as a full one. */
  #chunkBytes(lane: QuicLane): number {
    const packetBytes = lane.conn.maxDatagramSize - PACKET_SLACK_BYTES;
    const packets = Math.round(this.#pacer.rateBytesPerSecond * CHUNK_MS / 1000 / packetBytes);
    const bounded = Math.min(CHUNK_PACKETS_MAX, Math.max(CHUNK_PACKETS_MIN, packets));
    return bounded * packetBytes - CHUNK_HEADER_BYTES - MARK_BYTES;
  }

  #bulkLanes(): QuicLane[] {
    return this.#lanes.slice(1).filter((lane) => lane !== null);
  }

  #nextNumber(): number {
    return this.#recordNumber = nextRecordNumber(this.#recordNumber);
  }

  async #deliver(bytes: Uint8Array, isBulk: boolean): Promise<void> {
    this.#reportSoon();
    const handler = await this.#handler.promise;
    await handler(bytes);
    if (isBulk) this.#bulkConsumedBytes += bytes.length;
    this.#reportSoon();
  }

  #datagram(bytes: Uint8Array): void {
    const nowMs = this.#clock.nowMs();
    const datagram = decodePathDatagram(bytes);
    if (datagram === null) return;
    if (datagram.kind === "mark") {
      this.#receiver.mark(datagram, nowMs);
      this.#reportSoon();
      return;
    }
    if (datagram.kind === "ping") {
      this.#receiver.ping(datagram.sentMs, nowMs);
      this.#report();
      return;
    }
    if (!this.#delivery.isPlausible(datagram) || !this.#estimate.take(datagram, nowMs)) return;
    datagram.laneBytes.forEach((laneBytes, index) => {
      const lane = this.#lanes[index];
      if (lane && laneBytes <= lane.sentBytes) {
        lane.deliveredBytes = Math.max(lane.deliveredBytes, laneBytes);
      }
    });
    if (datagram.consumedBytes <= this.#bulkSentBytes) {
      this.#bulkConsumedByPeerBytes = datagram.consumedBytes;
    }
    const minRoundTripMs = this.#estimate.minRoundTripMs ?? 0;
    const lanes = this.#bulkLanes();
    this.#pacer.take({
      nowMs,
      transitMs: Number.isNaN(datagram.transitMs) ? null : datagram.transitMs,
      delivery: this.#delivery.take(datagram, minRoundTripMs),
      minRoundTripMs,
      sentBytes: lanes.reduce((sum, lane) => sum + lane.sentBytes, 0),
      readBytes: lanes.reduce((sum, lane) => sum + lane.deliveredBytes, 0),
      isPaced: nowMs - this.#pacedAtMs < 2 * minRoundTripMs + PACED_MS,
    });
    this.#notify();
  }

  #reportSoon(): void {
    if (this.#feedbackTimer !== null || this.#state === "gone") return;
    const roundTripMs = this.#estimate.minRoundTripMs ?? 0;
    const ms = Math.min(
      FEEDBACK_MS_MAX,
      Math.max(FEEDBACK_MS_MIN, roundTripMs * FEEDBACK_ROUND_TRIPS),
    );
    this.#feedbackTimer = setTimeout(() => {
      this.#feedbackTimer = null;
      this.#report();
    }, Math.round(ms));
  }

  #report(): void {
    const laneBytes = this.#lanes.map((lane) => lane?.receivedBytes ?? 0);
    const feedback = this.#receiver.feedback(
      this.#clock.nowMs(),
      this.#bulkConsumedBytes,
      laneBytes,
    );
    this.#lanes[0]?.sendDatagram(encodeFeedback(feedback));
  }

  #heard(): void {
    this.#lastHeardMs = this.#clock.nowMs();
  }

  #beat(): void {
    const nowMs = this.#clock.nowMs();
    const silentMs = nowMs - this.#lastHeardMs;
    if (silentMs > this.#options.silenceMsMax) {
      return this.#die(`nothing was heard for ${Math.round(silentMs)} ms`);
    }
    this.#lanes[0]?.sendDatagram(encodePing(nowMs));
  }

  #laneEnded(): void {
    this.#endedLanes++;
    if (this.#endedLanes === this.#joined().length) this.#ends.resolve();
    if (this.#state === "open") void this.close("the peer closed the link");
  }

  async #writeEnds(): Promise<void> {
    await Promise.allSettled([this.#bulkTail, this.#urgentTail]);
    await Promise.allSettled(this.#joined().map((lane) => lane.writeEnd()));
  }

  #joined(): QuicLane[] {
    return this.#lanes.filter((lane) => lane !== null);
  }

  /** Ends everything at once; the first reason counts. */
  #die(lastReason: string): void {
    if (this.#state === "gone") return;
    const reason = this.#closingReason ?? lastReason;
    this.#state = "gone";
    clearInterval(this.#heartbeat);
    if (this.#feedbackTimer !== null) clearTimeout(this.#feedbackTimer);
    for (const lane of this.#joined()) {
      lane.conn.close({ closeCode: 0, reason: reason.slice(0, 200) });
    }
    this.#notify();
    this.#gone.resolve({ reason });
    this.#options.onGone();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #linkClosed(cause?: unknown): GatewayError {
    return new GatewayError("link_closed", `Cannot send to ${this.peerName}: the link is closed`, {
      hint: "Nothing to do: what was not acknowledged is sent again over the next connection",
      cause,
    });
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
