import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import type { Carrier } from "./carrier.ts";
import type { PacerPhase } from "./pacer.ts";
import { decodePathDatagram, encodeFeedback, encodeMark, encodePing } from "./path_datagram.ts";
import { PathSender } from "./path_sender.ts";
import { PathReceiver } from "./path_receiver.ts";
import type { PathMeasurement } from "./peer_link.ts";
import { decodeCopy, encodeCopy } from "./record_copy.ts";
import { QuicPackets } from "./quic_packets.ts";
import { CHUNK_HEADER_BYTES, nextRecordNumber, RecordAssembler } from "./quic_chunks.ts";
import { CHUNK_BYTES_MAX, type LaneEvents, type QuicLane } from "./quic_lane.ts";
import { LaneSet } from "./quic_lane_set.ts";

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
/** A cap may be changed while a record waits for it. */
const CAP_LOOK_MS = 100;
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
  /** On a lane of bulk: what is urgent must not wait for them. */
  readonly packets = new QuicPackets(() => {
    return this.#state === "open" ? this.#lanes.bulk[0] ?? this.#lanes.urgent : null;
  });

  readonly #clock: Clock;
  readonly #options: QuicCarrierOptions;
  readonly #lanes: LaneSet;
  readonly #assembler = new RecordAssembler();
  readonly #path = new PathSender();
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
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #feedbackTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: QuicCarrierOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.peerName = options.peerName;
    this.peerIncarnation = options.peerIncarnation;
    this.closed = this.#gone.promise;
    this.#lanes = new LaneSet(options.laneCount);
    this.#lastHeardMs = this.#clock.nowMs();
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  get laneCount(): number {
    return this.#options.laneCount;
  }

  hasLane(index: number): boolean {
    return this.#lanes.has(index);
  }

  /** True once urgent and bulk records can go. */
  get isReady(): boolean {
    return this.#lanes.urgent !== null && this.#lanes.bulk.length > 0;
  }

  /** Adds an authenticated connection of this bundle. */
  join(lane: QuicLane): void {
    if (this.#state !== "open") return lane.conn.close({ closeCode: 0, reason: "bundle closed" });
    this.#lanes.add(lane);
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
    const { phase, rateBytesPerSecond, queueMs, windowBytes } = this.#path.pacer;
    const { inFlightBytes } = this.#path;
    return { phase, rateBytesPerSecond, queueMs, inFlightBytes, windowBytes };
  }

  /** On two connections at once, so that one lost packet is no matter. */
  copy(record: Uint8Array): void {
    for (const lane of [this.#lanes.urgent, this.#lanes.bulk[0]]) {
      const datagram = lane && encodeCopy(record, lane.conn.maxDatagramSize);
      if (datagram && this.#state === "open") lane.sendDatagram(datagram);
    }
  }

  packetBytes(recordBytes: number): number {
    const lane = this.#lanes.bulk[0] ?? this.#lanes.urgent;
    if (!lane) return recordBytes;
    const chunkBytes = this.#chunkBytes(lane);
    const rest = recordBytes % chunkBytes;
    return Math.floor(recordBytes / chunkBytes) * this.#packetBytes(lane, chunkBytes) +
      (rest > 0 ? this.#packetBytes(lane, rest) : 0);
  }

  pace(bytesPerSecond: number | null): void {
    this.#path.setCap(bytesPerSecond, this.#clock.nowMs());
  }

  get deliveredBytes(): number {
    return this.#lanes.deliveredBytes;
  }

  path(): PathMeasurement {
    const nowMs = this.#clock.nowMs();
    return {
      roundTripMs: this.#path.estimate.roundTripMs,
      minRoundTripMs: this.#path.estimate.minRoundTripMs,
      bottleneckBytesPerSecond: this.#path.pacer.bottleneckBytesPerSecond,
      goodputBytesPerSecond: this.#path.estimate.goodputBytesPerSecond(nowMs),
      lossRatio: this.#path.estimate.lossRatio(),
      queueMs: this.#path.delay.queueMs(nowMs),
      jitterMs: this.#path.delay.jitterMs,
      silentMs: nowMs - this.#lastHeardMs,
    };
  }

  async close(reason: string): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#closingReason = reason;
      this.#notify();
      void (async () => {
        await this.#writeEnds();
        await this.#ends.promise;
        this.#die(reason);
      })();
      this.#dieLater(reason);
    }
    await this.closed;
  }

  /** A closing that comes to no end by itself. */
  #dieLater(reason: string): void {
    const timeout = new AbortController();
    void this.#clock.sleep(CLOSE_MS_MAX, timeout.signal).then(() => this.#die(reason), () => {});
    void this.closed.then(() => timeout.abort());
  }

  async #sendUrgent(record: Uint8Array): Promise<void> {
    const lane = await this.#until(() => this.#lanes.urgent);
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
      await this.#capped();
      await this.#paced(0);
      const lane = await this.#until(() => this.#emptiestLane());
      const chunkBytes = Math.min(record.length - at, this.#chunkBytes(lane));
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
    const packetBytes = this.#packetBytes(lane, chunkBytes);
    const nowMs = this.#clock.nowMs();
    const mark = this.#path.sent(chunkBytes, CHUNK_HEADER_BYTES, nowMs, packetBytes);
    if (mark !== null) lane.sendDatagram(encodeMark(mark));
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
      const waitMs = this.#path.waitMs(this.#clock.nowMs());
      if (waitMs <= aheadMs) return;
      await this.#clock.sleep(Math.min(waitMs - aheadMs, HEARTBEAT_MS));
    }
  }

  /** Waits until the cap allows more; it may change meanwhile. */
  async #capped(): Promise<void> {
    for (;;) {
      const waitMs = this.#path.capWaitMs(this.#clock.nowMs());
      if (waitMs <= 0 || this.#state !== "open") return;
      await this.#clock.sleep(Math.min(waitMs, CAP_LOOK_MS));
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
    if (this.#bulkSentBytes - this.#bulkConsumedByPeerBytes >= BUNDLE_WINDOW_BYTES) return null;
    if (this.#path.isWindowFull(this.#clock.nowMs())) return null;
    const { rateBytesPerSecond } = this.#path.pacer;
    return this.#lanes.emptiest(rateBytesPerSecond, this.#path.estimate.minRoundTripMs ?? 0);
  }

  #chunkBytes(lane: QuicLane): number {
    const { pacer, capBytesPerSecond } = this.#path;
    return lane.chunkBytes(Math.min(pacer.rateBytesPerSecond, capBytesPerSecond ?? Infinity));
  }

  #packetBytes(lane: QuicLane, chunkBytes: number): number {
    return lane.packetBytes(chunkBytes, this.#path.estimate.lossRatio() ?? 0);
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
    if (this.packets.heard(bytes)) return;
    const nowMs = this.#clock.nowMs();
    const copy = decodeCopy(bytes);
    if (copy !== null) {
      this.#deliver(copy, false).catch((error) => this.#die(messageOf(error)));
      return;
    }
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
    this.#lanes.delivered(datagram.laneBytes);
    const { sentBytes, deliveredBytes } = this.#lanes;
    if (!this.#path.take(datagram, sentBytes, deliveredBytes, nowMs)) return;
    if (datagram.consumedBytes <= this.#bulkSentBytes) {
      this.#bulkConsumedByPeerBytes = datagram.consumedBytes;
    }
    this.#notify();
  }

  #reportSoon(): void {
    if (this.#feedbackTimer !== null || this.#state === "gone") return;
    const roundTripMs = this.#path.estimate.minRoundTripMs ?? 0;
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
    const feedback = this.#receiver.feedback(
      this.#clock.nowMs(),
      this.#bulkConsumedBytes,
      this.#lanes.receivedBytes,
    );
    this.#lanes.urgent?.sendDatagram(encodeFeedback(feedback));
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
    this.#lanes.urgent?.sendDatagram(encodePing(nowMs));
  }

  /** The peer ends all its lanes, and closes them when ours end: not before all of its are read. */
  #laneEnded(): void {
    this.#endedLanes++;
    const reason = "the peer closed the link";
    if (this.#endedLanes === this.#lanes.joined.length) {
      this.#ends.resolve();
      if (this.#state === "open") void this.close(reason);
    } else if (this.#endedLanes === 1) this.#dieLater(reason);
  }

  async #writeEnds(): Promise<void> {
    await Promise.allSettled([this.#bulkTail, this.#urgentTail]);
    await Promise.allSettled(this.#lanes.joined.map((lane) => lane.writeEnd()));
  }

  /** Ends everything at once; the first reason counts. */
  #die(lastReason: string): void {
    if (this.#state === "gone") return;
    const reason = this.#closingReason ?? lastReason;
    this.#state = "gone";
    clearInterval(this.#heartbeat);
    if (this.#feedbackTimer !== null) clearTimeout(this.#feedbackTimer);
    for (const lane of this.#lanes.joined) {
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
