import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import type { Bundle } from "./bundle_dial.ts";
import { FAR_ROUND_TRIP_MS } from "./far_path.ts";
import { askCongestionControl } from "./congestion_control.ts";
import { decodePathDatagram, encodeFeedback, encodePing } from "./path_datagram.ts";
import { PathReceiver } from "./path_receiver.ts";
import type { PathMeasurement } from "./peer_link.ts";
import { CLOSE_MS_MAX, HEARTBEAT_MS } from "./quic_carrier.ts";
import { nextRecordNumber, RecordAssembler } from "./quic_chunks.ts";
import { SentAgain, type TcpCounts } from "./tcp_info.ts";
import { PATH_RECORD_NUMBER, type TlsLane, type TlsLaneEvents } from "./tls_lane.ts";
import { TLS_WINDOW_BYTES_MAX, TlsPath } from "./tls_path.ts";
import { TLS_CHUNK_BYTES_MAX, TlsShape } from "./tls_shape.ts";

/** A report about what was read is due after this share of a round trip, within these bounds. */
const FEEDBACK_ROUND_TRIPS = 1 / 6;
const FEEDBACK_MS_MIN = 5;
const FEEDBACK_MS_MAX = 50;
/** A cap may be changed while a record waits for it. */
const CAP_LOOK_MS = 100;
/** One lane gets this many times its share of the window, so that others fill in for a held-up one. */
const LANE_SHARES = 2;

export interface TlsCarrierOptions {
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly laneCount: number;
  readonly clock: Clock;
  readonly silenceMsMax: number;
  /** Called once nothing is left of the bundle. */
  readonly onGone: () => void;
}

/**
 * A bundle of TLS connections over TCP: lane 0 for urgent records and reports about the path, the
 * others for bulk. TCP paces each of them; what is under way is bounded by a window, because neither
 * end's sockets would bound it.
 */
export class TlsCarrier implements Bundle<TlsLane> {
  readonly kind = "tls";
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly closed: Promise<{ readonly reason: string }>;

  readonly #clock: Clock;
  readonly #options: TlsCarrierOptions;
  readonly #lanes: (TlsLane | null)[];
  readonly #assembler = new RecordAssembler();
  readonly #path = new TlsPath();
  readonly #receiver = new PathReceiver();
  readonly #shape: TlsShape;
  readonly #sentAgain = new SentAgain();
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
  #congestionControl: string | null = null;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #feedbackTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: TlsCarrierOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.peerName = options.peerName;
    this.peerIncarnation = options.peerIncarnation;
    this.closed = this.#gone.promise;
    this.#lanes = Array.from({ length: options.laneCount }, () => null);
    this.#lastHeardMs = this.#clock.nowMs();
    this.#shape = new TlsShape(this.#lastHeardMs);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  get laneCount(): number {
    return this.#options.laneCount;
  }

  get isReady(): boolean {
    return this.#urgent !== null && this.#bulk.length > 0;
  }

  get congestionControl(): string | null {
    return this.#congestionControl;
  }

  hasLane(index: number): boolean {
    return this.#lanes[index] !== null;
  }

  join(lane: TlsLane): void {
    if (this.#state !== "open") return lane.stream.abort("the bundle is closed");
    this.#lanes[lane.index] = lane;
    this.#shape.address = lane.stream.socket.remoteAddress ?? "";
    this.#learnCongestionControl(lane);
    const events: TlsLaneEvents = {
      heard: (progressed) => this.#heard(progressed),
      record: (bytes) => this.#deliver(bytes, lane.index > 0),
      pathMessage: (bytes) => this.#pathMessage(bytes),
    };
    // What arrived before the end is read first; the reader finds the end by itself then.
    void lane.stream.closed.then((reason) => lane.knowsItsEnd || this.#die(reason));
    lane.readStream(this.#assembler, events).then(() => this.#laneEnded(), (error) => {
      this.#die(messageOf(error));
    });
    if (lane.index === 0) lane.sendPathMessage(encodePing(this.#clock.nowMs()));
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

  packetBytes(recordBytes: number): number {
    return this.#shape.recordPacketBytes(recordBytes, this.#chunkBytes());
  }

  pace(bytesPerSecond: number | null): void {
    this.#shape.pace(bytesPerSecond, this.#clock.nowMs());
  }

  get deliveredBytes(): number {
    return this.#joined.reduce((sum, lane) => sum + lane.deliveredBytes, 0);
  }

  path(): PathMeasurement {
    const { estimate } = this.#path;
    const nowMs = this.#clock.nowMs();
    const { lastRoundTripMs, minRoundTripMs } = estimate;
    // What TCP keeps to itself is null; what it sends again is known where the system can be asked.
    return {
      roundTripMs: estimate.roundTripMs,
      minRoundTripMs,
      bottleneckBytesPerSecond: this.#path.bottleneckBytesPerSecond,
      goodputBytesPerSecond: estimate.goodputBytesPerSecond(nowMs),
      lossRatio: this.#sentAgain.ratio,
      queueMs: lastRoundTripMs === null ? null : lastRoundTripMs - (minRoundTripMs ?? 0),
      jitterMs: null,
      silentMs: nowMs - this.#lastHeardMs,
    };
  }

  /** Bounds that hold at this moment, for reports. */
  get window(): { windowBytes: number; inFlightBytes: number } {
    return { windowBytes: this.#path.windowBytes, inFlightBytes: outstanding(this.#bulk) };
  }

  async close(reason: string): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#closingReason = reason;
      this.#notify();
      void (async () => {
        await this.#writeEnds();
        await this.#ends.promise;
        this.#die(reason, true);
      })();
      this.#dieLater(reason);
    }
    await this.closed;
  }

  get #urgent(): TlsLane | null {
    return this.#lanes[0];
  }

  get #bulk(): TlsLane[] {
    return this.#lanes.slice(1).filter((lane) => lane !== null);
  }

  get #joined(): TlsLane[] {
    return this.#lanes.filter((lane) => lane !== null);
  }

  /** A closing that comes to no end by itself. */
  #dieLater(reason: string): void {
    const timeout = new AbortController();
    void this.#clock.sleep(CLOSE_MS_MAX, timeout.signal).then(() => this.#die(reason), () => {});
    void this.closed.then(() => timeout.abort());
  }

  async #sendUrgent(record: Uint8Array): Promise<void> {
    const recordNumber = this.#nextNumber();
    for (let at = 0; at < record.length; at += TLS_CHUNK_BYTES_MAX) {
      const lane = await this.#until(() => this.#urgentLane());
      const chunkBytes = Math.min(record.length - at, TLS_CHUNK_BYTES_MAX);
      this.#shape.sent(chunkBytes, this.#clock.nowMs());
      try {
        await lane.writeChunk(recordNumber, record, at, chunkBytes);
      } catch (cause) {
        throw this.#linkClosed(cause);
      }
    }
  }

  async #sendBulk(record: Uint8Array): Promise<void> {
    const recordNumber = this.#nextNumber();
    for (let at = 0; at < record.length;) {
      await this.#capped();
      const lane = await this.#until(() => this.#emptiestLane());
      const chunkBytes = Math.min(record.length - at, this.#chunkBytes());
      this.#bulkSentBytes += chunkBytes;
      this.#shape.sent(chunkBytes, this.#clock.nowMs());
      // The bytes are copied before this returns; other lanes go on while the socket takes them.
      lane.writeChunk(recordNumber, record, at, chunkBytes)
        .then(() => this.#notify(), (error) => this.#die(messageOf(error)));
      at += chunkBytes;
    }
  }

  /** Waits until the cap allows more; it may change meanwhile. */
  async #capped(): Promise<void> {
    for (;;) {
      const waitMs = this.#shape.waitMs(this.#clock.nowMs());
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

  #urgentLane(): TlsLane | null {
    const lane = this.#urgent;
    return lane !== null && lane.outstandingBytes < this.#path.windowBytes ? lane : null;
  }

  #learnCongestionControl(lane: TlsLane): void {
    this.#congestionControl ??= lane.tuned.congestionControl;
    if (this.#congestionControl !== null || lane.index === 0 || this.#bulk.length > 1) return;
    void askCongestionControl(lane.stream.socket).then((name) => this.#congestionControl ??= name);
  }

  /**
   * The bulk lanes that are used. BBR fills a path with one connection, and several of them fill its
   * queue as well (12 % of the packets dropped with two, 4 % with one); only a very long path takes
   * one some ten seconds to fill. Any other control needs all.
   */
  get #used(): TlsLane[] {
    const lanes = this.#bulk;
    const isShort = (this.#path.estimate.minRoundTripMs ?? 0) < FAR_ROUND_TRIP_MS;
    return this.#congestionControl === "bbr" && isShort ? lanes.slice(0, 1) : lanes;
  }

  /** The bulk lane with least under way, of those with room. */
  #emptiestLane(): TlsLane | null {
    const { windowBytes } = this.#path;
    const lanes = this.#used;
    const laneBytesMax = LANE_SHARES * windowBytes / lanes.length;
    const unconsumedBytes = this.#bulkSentBytes - this.#bulkConsumedByPeerBytes;
    let best: TlsLane | null = null;
    if (unconsumedBytes < TLS_WINDOW_BYTES_MAX && outstanding(lanes) < windowBytes) {
      for (const lane of lanes) {
        if (!lane.isWritable || lane.outstandingBytes >= laneBytesMax) continue;
        if (best === null || lane.outstandingBytes < best.outstandingBytes) best = lane;
      }
    }
    if (best === null) this.#path.noteFull(this.#clock.nowMs());
    return best;
  }

  #chunkBytes(): number {
    return this.#shape.chunkBytes(this.#path.bottleneckBytesPerSecond);
  }

  #nextNumber(): number {
    this.#recordNumber = nextRecordNumber(this.#recordNumber);
    if (this.#recordNumber === PATH_RECORD_NUMBER) this.#recordNumber = 0;
    return this.#recordNumber;
  }

  async #deliver(bytes: Uint8Array, isBulk: boolean): Promise<void> {
    this.#reportSoon();
    const handler = await this.#handler.promise;
    await handler(bytes);
    if (isBulk) this.#bulkConsumedBytes += bytes.length;
    this.#reportSoon();
  }

  #pathMessage(bytes: Uint8Array): void {
    const nowMs = this.#clock.nowMs();
    const message = decodePathDatagram(bytes);
    if (message?.kind === "ping") {
      this.#receiver.ping(message.sentMs, nowMs);
      this.#report();
    }
    if (message?.kind !== "feedback" || !this.#path.take(message, nowMs)) return;
    for (const lane of this.#joined) {
      const readBytes = message.laneBytes[lane.index] ?? 0;
      // More than was sent is not believed.
      if (readBytes > lane.sentBytes) continue;
      lane.deliveredBytes = Math.max(lane.deliveredBytes, readBytes);
    }
    if (message.consumedBytes <= this.#bulkSentBytes) {
      this.#bulkConsumedByPeerBytes = Math.max(
        this.#bulkConsumedByPeerBytes,
        message.consumedBytes,
      );
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
    const laneBytes = this.#lanes.map((lane) => lane?.receivedBytes ?? 0);
    const nowMs = this.#clock.nowMs();
    const feedback = this.#receiver.feedback(nowMs, this.#bulkConsumedBytes, laneBytes);
    this.#urgent?.sendPathMessage(encodeFeedback(feedback));
  }

  #heard(progressed: boolean): void {
    this.#lastHeardMs = this.#clock.nowMs();
    // Not with the records only: a long one takes a while to be complete. And never because of a
    // report: the two sides would go on reporting for ever.
    if (progressed) this.#reportSoon();
  }

  #beat(): void {
    const nowMs = this.#clock.nowMs();
    const silentMs = nowMs - this.#lastHeardMs;
    if (silentMs > this.#options.silenceMsMax) {
      return this.#die(`nothing was heard for ${Math.round(silentMs)} ms`);
    }
    this.#urgent?.sendPathMessage(encodePing(nowMs));
    this.#countSentAgain();
  }

  #countSentAgain(): void {
    const counts = this.#bulk.map((lane) => lane.tuned.counts()).filter((each) => each !== null);
    const sum = (of: (counts: TcpCounts) => number) => counts.map(of).reduce((a, b) => a + b, 0);
    if (counts.length === 0) return;
    this.#sentAgain.take({
      sentBytes: sum(({ sentBytes }) => sentBytes),
      sentAgainBytes: sum(({ sentAgainBytes }) => sentAgainBytes),
    });
  }

  /** The peer ends all its lanes, and closes them when ours end: not before all of its are read. */
  #laneEnded(): void {
    this.#endedLanes++;
    const reason = "the peer closed the link";
    if (this.#endedLanes === this.#joined.length) {
      this.#ends.resolve();
      if (this.#state === "open") void this.close(reason);
    } else if (this.#endedLanes === 1) this.#dieLater(reason);
  }

  async #writeEnds(): Promise<void> {
    await Promise.allSettled([this.#bulkTail, this.#urgentTail]);
    await Promise.allSettled(this.#joined.map((lane) => lane.writeEnd()));
  }

  /**
   * Ends everything at once; the first reason counts.
   *
   * @param isOrderly both sides have read all: what the kernel still holds may leave
   */
  #die(lastReason: string, isOrderly = false): void {
    if (this.#state === "gone") return;
    const reason = this.#closingReason ?? lastReason;
    this.#state = "gone";
    clearInterval(this.#heartbeat);
    if (this.#feedbackTimer !== null) clearTimeout(this.#feedbackTimer);
    for (const lane of this.#joined) {
      if (isOrderly) lane.stream.end();
      else lane.stream.abort(reason);
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

/** Bytes on these lanes that the peer has not read, as far as it told. */
function outstanding(lanes: readonly TlsLane[]): number {
  return lanes.reduce((sum, lane) => sum + lane.outstandingBytes, 0);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
