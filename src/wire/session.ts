/**
 * The session with one peer: numbered frames in order, exactly once, over any number of
 * connections, with bounded memory on both sides. Pure: times are arguments, connections are
 * numbers, records are bytes. `src/link/session_link.ts` drives it.
 *
 * A frame stays in its outbox until the peer has applied it. Each new connection starts with STATE
 * in both directions; what the peer does not list, and what went over a lost or silent connection,
 * is sent again. Frames of one migration name the opening they belong to, so nothing late can reach
 * a migration that was closed and opened again.
 */
import { GatewayError } from "../core/errors.ts";
import { frameInvalid } from "./bytes.ts";
import { type ChannelKind, isBulk, kindNumber } from "./channel_kind.ts";
import { decodeRecord, encodeFrame, type Frame, IGNORABLE_RECORD_TYPE_MIN } from "./frame.ts";
import { RECORD_HEADER_BYTES, RECORD_TYPES } from "./frame.ts";
import { GoodputMeter } from "./goodput.ts";
import type { InFrame } from "./inbox.ts";
import {
  ACK_BYTES,
  ACK_DELAY_MS,
  checkLimits,
  CLOSED_MIGRATIONS_KEPT,
  DEFAULT_LIMITS,
  MIGRATIONS_MAX,
  OLD_INCARNATIONS_KEPT,
  QUEUE_MS,
  RESETS_QUEUED_MAX,
  type SessionLimits,
  UNCLAIMED_MS,
  URGENT_BYTES_MAX,
} from "./limits.ts";
import { type CarrierState, Liveness } from "./liveness.ts";
import { type ChannelState, MigrationChannels } from "./migration_channels.ts";
import { frameCost } from "./outbox.ts";
import { Scheduler } from "./scheduler.ts";
import {
  type Ack,
  ACK_ENTRY_BYTES,
  decodeAck,
  decodePing,
  decodeReset,
  decodeState,
  encodeAck,
  encodePing,
  encodeReset,
  encodeState,
  type Reset,
  type State,
  type StreamName,
} from "./session_records.ts";

/** What the driver must act upon. */
export type SessionEvent =
  | { readonly kind: "newMigration"; readonly migrationId: string }
  | { readonly kind: "restarted" }
  /** These channels take no frame any more (`deaf`), or are gone altogether (`closed`). */
  | { readonly kind: "ended"; readonly migration: MigrationChannels; readonly reason: string }
  | { readonly kind: "closeCarrier"; readonly carrierId: number; readonly reason: string };

/** A record to hand to a connection, and the channel it counts for. */
export interface Outgoing {
  readonly record: Uint8Array;
  /** Migration whose rate cap it counts against; null for records of the session itself. */
  readonly migrationId: string | null;
}

export interface SessionOptions {
  readonly limits?: Partial<SessionLimits>;
  /** Above every opening that an earlier session of this process with this peer used. */
  readonly firstOpening?: number;
}

/** Remembered of a closed migration: which frames are late, and what to answer to them. */
interface Closed {
  readonly peerOpening: number;
  readonly appliedUpTo: readonly number[];
}

export class Session {
  readonly limits: SessionLimits;
  readonly liveness = new Liveness();
  /** The peer's process, once a connection was made. */
  peerIncarnation: string | null = null;

  readonly #migrations = new Map<string, MigrationChannels>();
  readonly #closed = new Map<string, Closed>();
  readonly #oldIncarnations = new Set<string>();
  readonly #resets = new Map<string, Reset>();
  readonly #scheduler = new Scheduler();
  readonly #goodput = new GoodputMeter();
  #nextOpening: number;
  /** What the peer is willing to hold; known from its STATE. */
  #windowBytes = 0;
  /** When an acknowledgement becomes due, and that it is. */
  #ackAtMs = Infinity;
  #isAckDue = false;
  #keepsHouse = false;
  #events: SessionEvent[] = [];
  #touched = new Set<ChannelState>();

  constructor(options: SessionOptions = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    checkLimits(this.limits);
    this.#nextOpening = options.firstOpening ?? 1;
  }

  // --- connections -------------------------------------------------------------------------------

  /**
   * Takes a new connection into use; `id` is above every earlier one.
   *
   * @param keepsHouse this side closes superfluous connections; true on exactly one of both sides
   * @returns false when it belongs to a process of the peer that is known to have ended
   */
  addCarrier(id: number, peerIncarnation: string, keepsHouse: boolean, nowMs: number): boolean {
    if (this.#oldIncarnations.has(peerIncarnation)) return false;
    this.#keepsHouse = keepsHouse;
    if (this.peerIncarnation !== null && this.peerIncarnation !== peerIncarnation) {
      this.#peerRestarted(this.peerIncarnation);
    }
    this.peerIncarnation = peerIncarnation;
    this.liveness.add(id, nowMs);
    return true;
  }

  removeCarrier(id: number): void {
    if (this.liveness.carriers.delete(id)) this.#askForState();
  }

  #peerRestarted(oldIncarnation: string): void {
    this.#oldIncarnations.add(oldIncarnation);
    trim(this.#oldIncarnations, OLD_INCARNATIONS_KEPT);
    for (const carrierId of this.liveness.carriers.keys()) {
      this.#events.push({ kind: "closeCarrier", carrierId, reason: "the peer restarted" });
    }
    this.liveness.carriers.clear();
    for (const migration of this.#migrations.values()) this.#end(migration, "the peer restarted");
    this.#migrations.clear();
    this.#closed.clear();
    this.#resets.clear();
    this.#ackAtMs = Infinity;
    this.#isAckDue = false;
    this.#events.push({ kind: "restarted" });
  }

  /** After a loss: tell the peer over what is left what arrived, and ask it for the same. */
  #askForState(): void {
    const primary = this.liveness.primary();
    if (primary !== null) primary.stateDue = { answerWanted: true };
  }

  // --- channels ----------------------------------------------------------------------------------

  /**
   * The channel of a migration, opened here when it was not.
   *
   * @throws {GatewayError} `link_closed` when too many migrations are open
   */
  open(migrationId: string, kind: ChannelKind, nowMs: number): ChannelState {
    let migration = this.#migrations.get(migrationId);
    if (migration === undefined) {
      if (this.#migrations.size >= MIGRATIONS_MAX) {
        throw new GatewayError(
          "link_closed",
          `Cannot open a channel: ${MIGRATIONS_MAX} migrations are open with this peer`,
          { hint: "Wait until some of them have ended" },
        );
      }
      migration = this.#create(migrationId, nowMs);
    }
    migration.claimed = true;
    return migration.channel(kind);
  }

  /** Forgets a migration; late frames of it are answered with what was applied. */
  close(migrationId: string, reason: string): void {
    const migration = this.#migrations.get(migrationId);
    if (migration === undefined) return;
    this.#migrations.delete(migrationId);
    const { peerOpening } = migration;
    if (peerOpening !== null) {
      const appliedUpTo = migration.appliedUpTo();
      this.#closed.delete(migrationId);
      this.#closed.set(migrationId, { peerOpening, appliedUpTo });
      trim(this.#closed, CLOSED_MIGRATIONS_KEPT);
      this.#queueReset({ migrationId, opening: peerOpening, appliedUpTo });
    }
    this.#end(migration, reason);
  }

  /**
   * Numbers a frame and queues it.
   *
   * @throws {GatewayError} `frame_too_long`; `link_closed` when the channel takes no more
   */
  send(channel: ChannelState, type: number, payload: Uint8Array): number {
    if (channel.migration.state !== "open") {
      throw new GatewayError("link_closed", "Cannot send: the channel is closed", {
        hint: "The migration it belongs to has ended at the peer or here",
      });
    }
    if (payload.byteLength > this.limits.payloadBytesMax) {
      throw new GatewayError(
        "frame_too_long",
        `Cannot send: ${payload.byteLength} bytes of payload, limit ${this.limits.payloadBytesMax}`,
        { hint: "Split the payload" },
      );
    }
    const { outbox, kind } = channel;
    if (!isBulk(kind) && outbox.unacknowledgedCost + frameCost(payload) > URGENT_BYTES_MAX) {
      throw new GatewayError(
        "link_closed",
        `Cannot send: ${outbox.unacknowledgedBytes} bytes of ${kind} frames wait for the peer`,
        { hint: "The peer has not answered for too long" },
      );
    }
    return outbox.push(type, payload);
  }

  /** Unsent payload bytes that a bulk channel may have queued before its sender waits. */
  queueDepthBytes(nowMs: number): number {
    const goodput = this.#goodput.bytesPerSecond(nowMs) ?? 0;
    return Math.max(this.limits.queueBytesMin, goodput * QUEUE_MS / 1000);
  }

  goodputBytesPerSecond(nowMs: number): number | null {
    return this.#goodput.bytesPerSecond(nowMs);
  }

  /** The next frame of a channel in order, each once; null while it has not arrived. */
  deliver(channel: ChannelState): InFrame | null {
    return channel.migration.state === "closed" ? null : channel.inbox.deliver();
  }

  /** The delivered frame took effect. Without effect after the channel was closed. */
  applied(channel: ChannelState, sequence: number, nowMs: number): void {
    if (channel.migration.state === "closed") return;
    channel.inbox.applied(sequence);
    if (!isBulk(channel.kind) || channel.inbox.unreportedBytes >= ACK_BYTES) this.#isAckDue = true;
    else this.#ackAtMs = Math.min(this.#ackAtMs, nowMs + ACK_DELAY_MS);
  }

  // --- what the driver polls ---------------------------------------------------------------------

  takeEvents(): SessionEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Channels whose frames, acknowledgements or state changed since the last call. */
  takeTouched(): Iterable<ChannelState> {
    const touched = this.#touched;
    this.#touched = new Set();
    return touched;
  }

  /** Time passes: call at `wakeAtMs` and not much less often. */
  tick(nowMs: number): void {
    if (this.liveness.tick(nowMs)) this.#askForState();
    if (nowMs >= this.#ackAtMs) {
      this.#ackAtMs = Infinity;
      this.#isAckDue = true;
    }
    for (const { id } of this.liveness.surplus(nowMs, this.#keepsHouse)) {
      this.#events.push({ kind: "closeCarrier", carrierId: id, reason: "replaced by a newer one" });
    }
    for (const migration of [...this.#migrations.values()]) {
      if (migration.claimed || nowMs - migration.createdAtMs < UNCLAIMED_MS) continue;
      this.close(migration.id, "nobody here knows the migration");
    }
  }

  wakeAtMs(): number {
    return Math.min(this.#ackAtMs, this.liveness.wakeAtMs());
  }

  /** The next record of the session itself or of an urgent channel for this connection. */
  nextUrgent(carrierId: number, nowMs: number): Outgoing | null {
    const carrier = this.liveness.carriers.get(carrierId);
    if (carrier === undefined) return null;
    if (carrier.stateDue !== null) return this.#takeState(carrier);
    if (carrier.pongDue !== null) {
      const number = carrier.pongDue;
      carrier.pongDue = null;
      return { record: encodePing("pong", number), migrationId: null };
    }
    if (carrier.pingDue) {
      const number = this.liveness.takePing(carrier, nowMs);
      return { record: encodePing("ping", number), migrationId: null };
    }
    if (carrier !== this.liveness.primary()) return null;
    for (const [key, reset] of this.#resets) {
      this.#resets.delete(key);
      return { record: encodeReset(reset), migrationId: null };
    }
    if (this.#isAckDue) {
      const ack = this.#takeAck();
      if (ack !== null) return ack;
    }
    const channel = this.#scheduler.urgent(this.#openChannels());
    return channel === null ? null : this.#takeFrame(channel, carrier);
  }

  /**
   * The next memory or disk frame for this connection; null when none may go.
   *
   * @param allowed false for a migration that is over its rate cap
   */
  nextBulk(carrierId: number, allowed: (migrationId: string) => boolean): Outgoing | null {
    const carrier = this.liveness.primary();
    if (carrier === null || carrier.id !== carrierId || carrier.silent) return null;
    const channels = this.#openChannels();
    let inFlightCost = 0;
    for (const { kind, outbox } of channels) if (isBulk(kind)) inFlightCost += outbox.inFlightCost;
    const freeBytes = this.#windowBytes - inFlightCost;
    const channel = this.#scheduler.bulk(channels, (channel) => {
      const next = channel.outbox.peek()!;
      if (next.first && !fitsWindow(channel, frameCost(next.frame.payload), freeBytes)) {
        return false;
      }
      return allowed(channel.migration.id);
    });
    return channel === null ? null : this.#takeFrame(channel, carrier);
  }

  /** Costs of bulk frames sent and not acknowledged, and received and not applied. */
  heldCosts(): { readonly sentBytes: number; readonly receivedBytes: number } {
    let sentBytes = 0;
    let receivedBytes = 0;
    for (const migration of this.#migrations.values()) {
      for (const { kind, outbox, inbox } of migration.channels) {
        if (!isBulk(kind)) continue;
        sentBytes += outbox.inFlightCost;
        receivedBytes += inbox.heldCost;
      }
    }
    return { sentBytes, receivedBytes };
  }

  // --- what arrives ------------------------------------------------------------------------------

  /**
   * Takes one record from a connection. Payloads are kept as views into `bytes`.
   *
   * @throws {GatewayError} `frame_invalid`, `frame_too_long`: the connection must be closed
   */
  receive(carrierId: number, bytes: Uint8Array, nowMs: number): void {
    const carrier = this.liveness.carriers.get(carrierId);
    if (carrier === undefined) return;
    const decoded = decodeRecord(bytes);
    this.liveness.heard(carrier, nowMs);
    if (decoded.record === "frame") {
      return this.#receiveFrame(decoded.frame, bytes.byteLength, nowMs);
    }
    const { type, payload } = decoded;
    if (type === RECORD_TYPES.ack) {
      for (const ack of decodeAck(payload)) this.#receiveAck(ack, nowMs);
    } else if (type === RECORD_TYPES.state) {
      this.#receiveState(decodeState(payload), carrier, nowMs);
    } else if (type === RECORD_TYPES.reset) this.#receiveReset(decodeReset(payload), nowMs);
    else if (type === RECORD_TYPES.ping) carrier.pongDue = decodePing(payload);
    else if (type === RECORD_TYPES.pong) this.liveness.pong(decodePing(payload), carrier, nowMs);
    else if (type < IGNORABLE_RECORD_TYPE_MIN) throw frameInvalid(`unknown record type ${type}`);
  }

  #receiveFrame(frame: Frame, recordBytes: number, nowMs: number): void {
    const migration = this.#addressee(frame, nowMs);
    if (migration === null) return;
    migration.peerOpening ??= frame.opening;
    const channel = migration.channel(frame.kind);
    const { inbox } = channel;
    channel.receivedWireBytes += recordBytes;
    if (inbox.has(frame.sequence)) {
      // It seems that the peer missed an acknowledgement.
      if (frame.sequence <= inbox.appliedUpTo) {
        inbox.ackPending = true;
        this.#ackAtMs = Math.min(this.#ackAtMs, nowMs + ACK_DELAY_MS);
      }
      return;
    }
    const cost = frameCost(frame.payload);
    const heldBytes = isBulk(frame.kind) ? this.heldCosts().receivedBytes : inbox.heldCost;
    const limitBytes = isBulk(frame.kind) ? this.limits.unacknowledgedBytesMax : URGENT_BYTES_MAX;
    if (heldBytes + cost > limitBytes) {
      throw frameInvalid(`${heldBytes + cost} bytes wait to be applied, limit is ${limitBytes}`);
    }
    inbox.accept({ type: frame.type, sequence: frame.sequence, payload: frame.payload });
    this.#touched.add(channel);
  }

  /** The open migration that a frame belongs to; null when it is late or cannot be opened. */
  #addressee(frame: Frame, nowMs: number): MigrationChannels | null {
    const { migrationId, opening, answers } = frame;
    const migration = this.#migrations.get(migrationId);
    if (answers !== 0 && migration?.opening !== answers) return this.#refuse(frame);
    if (migration !== undefined && migration.peerOpening !== null) {
      if (migration.peerOpening === opening) return migration;
      if (migration.peerOpening > opening) return null;
      // The peer closed and opened it again: what is open here belongs to the past.
      this.#migrations.delete(migrationId);
      this.#end(migration, "the peer opened the migration anew");
    } else {
      if (opening <= (this.#closed.get(migrationId)?.peerOpening ?? 0)) return this.#refuse(frame);
      if (migration !== undefined) return migration;
    }
    if (this.#migrations.size >= MIGRATIONS_MAX) return this.#refuse(frame);
    const created = this.#create(migrationId, nowMs);
    this.#events.push({ kind: "newMigration", migrationId });
    return created;
  }

  #refuse({ migrationId, opening }: Frame): null {
    const closed = this.#closed.get(migrationId);
    const appliedUpTo = closed?.peerOpening === opening ? closed.appliedUpTo : [];
    this.#queueReset({ migrationId, opening, appliedUpTo });
    return null;
  }

  #receiveAck(ack: Ack, nowMs: number): void {
    const channel = this.#ownStream(ack);
    if (channel === null) return;
    const { outbox } = channel;
    if (ack.appliedUpTo > outbox.lastSent) {
      throw frameInvalid(`it acknowledges frame ${ack.appliedUpTo}, ${outbox.lastSent} were sent`);
    }
    this.#goodput.add(outbox.acknowledge(ack.appliedUpTo), nowMs);
    channel.receivedWireBytes += ACK_ENTRY_BYTES;
    this.#touched.add(channel);
  }

  #receiveState(state: State, carrier: CarrierState, nowMs: number): void {
    carrier.ready = true;
    this.#windowBytes = Math.min(state.windowBytes, this.limits.unacknowledgedBytesMax);
    if (state.answerWanted) carrier.stateDue ??= { answerWanted: false };
    const listed = new Map<ChannelState, State["streams"][number]>();
    for (const stream of state.streams) {
      const channel = this.#ownStream(stream);
      if (channel === null) continue;
      const last = stream.ahead.at(-1)?.[1] ?? stream.receivedUpTo;
      if (last > channel.outbox.lastSent) throw frameInvalid("it has frames that were never sent");
      this.#receiveAck(stream, nowMs);
      listed.set(channel, stream);
    }
    const isLost = (carrierId: number) =>
      this.liveness.carriers.get(carrierId)?.silent !== false && carrierId !== carrier.id;
    for (const channel of this.#openChannels()) {
      channel.outbox.requeue(isLost, listed.get(channel));
    }
  }

  #receiveReset(reset: Reset, nowMs: number): void {
    const migration = this.#migrations.get(reset.migrationId);
    if (migration === undefined || migration.opening !== reset.opening) return;
    if (migration.state !== "open") return;
    for (const channel of migration.channels) {
      const { kind } = channel;
      const appliedUpTo = reset.appliedUpTo[kindNumber(kind)];
      this.#receiveAck({ ...reset, kind, appliedUpTo }, nowMs);
    }
    migration.deafen();
    this.#ended(migration, "the peer has closed the migration");
  }

  /** The channel whose frames the peer speaks about; null when it is none of the present ones. */
  #ownStream(stream: StreamName): ChannelState | null {
    const migration = this.#migrations.get(stream.migrationId);
    if (migration?.opening !== stream.opening || migration.state !== "open") return null;
    return migration.channel(stream.kind);
  }

  // --- what leaves -------------------------------------------------------------------------------

  #takeFrame(channel: ChannelState, carrier: CarrierState): Outgoing {
    const { migration, kind } = channel;
    const frame = channel.outbox.take(carrier.id);
    const record = encodeFrame(migration.idBytes, {
      kind,
      opening: migration.opening,
      answers: migration.peerOpening ?? 0,
      sequence: frame.sequence,
      type: frame.type,
      payload: frame.payload,
    });
    channel.wireBytes += record.byteLength;
    this.#scheduler.sent(channel, record.byteLength);
    this.#touched.add(channel);
    return { record, migrationId: migration.id };
  }

  #takeAck(): Outgoing | null {
    this.#ackAtMs = Infinity;
    this.#isAckDue = false;
    const acks: Ack[] = [];
    for (const migration of this.#migrations.values()) {
      for (const channel of migration.channels) {
        const { kind, inbox } = channel;
        if (!inbox.ackPending) continue;
        acks.push({
          migrationId: migration.id,
          kind,
          opening: migration.peerOpening!,
          appliedUpTo: inbox.appliedUpTo,
        });
        inbox.reported();
        channel.wireBytes += ACK_ENTRY_BYTES + (acks.length === 1 ? RECORD_HEADER_BYTES : 0);
      }
    }
    return acks.length === 0 ? null : { record: encodeAck(acks), migrationId: null };
  }

  #takeState(carrier: CarrierState): Outgoing {
    const { answerWanted } = carrier.stateDue!;
    carrier.stateDue = null;
    const streams: State["streams"][number][] = [];
    for (const { id, peerOpening, channels } of this.#migrations.values()) {
      if (peerOpening === null) continue;
      for (const { kind, inbox } of channels) {
        const { appliedUpTo, receivedUpTo } = inbox;
        streams.push({
          migrationId: id,
          kind,
          opening: peerOpening,
          appliedUpTo,
          receivedUpTo,
          ahead: inbox.ahead(),
        });
      }
    }
    const windowBytes = this.limits.unacknowledgedBytesMax;
    return { record: encodeState({ answerWanted, windowBytes, streams }), migrationId: null };
  }

  #openChannels(): ChannelState[] {
    const channels: ChannelState[] = [];
    for (const migration of this.#migrations.values()) {
      if (migration.state === "open") channels.push(...migration.channels);
    }
    return channels;
  }

  #create(migrationId: string, nowMs: number): MigrationChannels {
    const migration = new MigrationChannels(migrationId, this.#nextOpening++, nowMs);
    this.#migrations.set(migrationId, migration);
    return migration;
  }

  #end(migration: MigrationChannels, reason: string): void {
    migration.close();
    this.#ended(migration, reason);
  }

  #ended(migration: MigrationChannels, reason: string): void {
    for (const channel of migration.channels) this.#touched.add(channel);
    this.#events.push({ kind: "ended", migration, reason });
  }

  #queueReset(reset: Reset): void {
    this.#resets.set(`${reset.migrationId} ${reset.opening}`, reset);
    trim(this.#resets, RESETS_QUEUED_MAX);
  }
}

/**
 * Whether a frame may be sent for the first time. A channel takes at most as much of the window as
 * it leaves free (dynamic threshold: Choudhury and Hahne, 1998), so one whose destination is slow
 * cannot stop the others.
 */
function fitsWindow({ outbox }: ChannelState, cost: number, freeBytes: number): boolean {
  return outbox.inFlightCost + cost <= freeBytes;
}

/** Drops the oldest entries beyond `sizeMax`. */
function trim(entries: Map<string, unknown> | Set<string>, sizeMax: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= sizeMax) return;
    entries.delete(key);
  }
}
