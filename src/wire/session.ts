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
import { Acknowledgements, streamStates } from "./acknowledgements.ts";
import { frameInvalid } from "./bytes.ts";
import { type ChannelKind, isBulk, kindNumber } from "./channel_kind.ts";
import {
  decodeRecord,
  encodeFrame,
  type Frame,
  IGNORABLE_RECORD_TYPE_MIN,
  RECORD_TYPES,
} from "./frame.ts";
import { GoodputMeter } from "./goodput.ts";
import type { InFrame } from "./inbox.ts";
import {
  checkLimits,
  DEFAULT_LIMITS,
  OLD_INCARNATIONS_KEPT,
  QUEUE_MS,
  type SessionLimits,
  URGENT_BYTES_MAX,
} from "./limits.ts";
import { type CarrierState, Liveness, type NewCarrier } from "./liveness.ts";
import type { ChannelState } from "./migration_channels.ts";
import { checkShare, type MigrationShare } from "./migration_share.ts";
import { type MigrationEvent, MigrationTable } from "./migration_table.ts";
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
} from "./session_records.ts";

/** What the driver must act upon. */
export type SessionEvent =
  | MigrationEvent
  | { readonly kind: "restarted" }
  | { readonly kind: "closeCarrier"; readonly carrierId: number; readonly reason: string };

/** A record to hand to a connection, and the channel it counts for. */
export interface Outgoing {
  readonly record: Uint8Array;
  /** Migration whose rate cap it counts against; null for records of the session itself. */
  readonly migrationId: string | null;
  /** A frame that somebody may be waiting for: worth a copy where a connection can lose packets. */
  readonly awaited?: boolean;
}

export interface SessionOptions {
  readonly limits?: Partial<SessionLimits>;
  /** Above every opening that an earlier session of this process with this peer used. */
  readonly firstOpening?: number;
}

/** One end of the session with one peer; see the head of this module. */
export class Session {
  readonly limits: SessionLimits;
  readonly liveness = new Liveness();
  /** The peer's process, once a connection was made. */
  peerIncarnation: string | null = null;
  /** Payload bytes of frames that were sent more than once, of all migrations, ended ones too. */
  resentBytes = 0;

  readonly #migrations: MigrationTable;
  readonly #oldIncarnations = new Set<string>();
  readonly #scheduler = new Scheduler();
  readonly #acknowledgements = new Acknowledgements();
  readonly #goodput = new GoodputMeter();
  /** What the peer is willing to hold; known from its STATE. */
  #windowBytes = 0;
  #keepsHouse = false;
  #events: SessionEvent[] = [];
  #touched = new Set<ChannelState>();

  constructor(options: SessionOptions = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    checkLimits(this.limits);
    this.#migrations = new MigrationTable(options.firstOpening ?? 1, (event) => {
      this.#events.push(event);
      if (event.kind !== "ended") return;
      for (const channel of event.migration.channels) this.#touched.add(channel);
    });
  }

  // --- connections -------------------------------------------------------------------------------

  /**
   * Takes a new connection into use.
   *
   * @returns false when it belongs to a process of the peer that is known to have ended
   */
  addCarrier(carrier: NewCarrier, nowMs: number): boolean {
    const { peerIncarnation } = carrier;
    if (this.#oldIncarnations.has(peerIncarnation)) return false;
    this.#keepsHouse = carrier.keepsHouse;
    if (this.peerIncarnation !== null && this.peerIncarnation !== peerIncarnation) {
      this.#peerRestarted(this.peerIncarnation);
    }
    this.peerIncarnation = peerIncarnation;
    this.liveness.add(carrier, nowMs);
    return true;
  }

  removeCarrier(id: number): void {
    if (this.liveness.carriers.delete(id)) this.#askForState();
  }

  #peerRestarted(oldIncarnation: string): void {
    this.#oldIncarnations.add(oldIncarnation);
    for (const oldest of this.#oldIncarnations) {
      if (this.#oldIncarnations.size <= OLD_INCARNATIONS_KEPT) break;
      this.#oldIncarnations.delete(oldest);
    }
    for (const carrierId of this.liveness.carriers.keys()) {
      this.#events.push({ kind: "closeCarrier", carrierId, reason: "the peer restarted" });
    }
    this.liveness.carriers.clear();
    this.#migrations.reset("the peer restarted");
    this.#acknowledgements.reset();
    this.#events.push({ kind: "restarted" });
  }

  /** After a loss: tell the peer over what is left what arrived, and ask it for the same. */
  #askForState(): void {
    const primary = this.liveness.primary();
    // A connection that starts has told what it knew before the loss, and may not have arrived yet:
    // without another STATE an acknowledgement that was lost would never be told.
    const tellers = primary === null ? this.liveness.carriers.values() : [primary];
    for (const carrier of tellers) carrier.stateDue = { answerWanted: true };
  }

  // --- channels ----------------------------------------------------------------------------------

  /**
   * The channel of a migration, opened here when it was not.
   *
   * @throws {GatewayError} `link_closed` when too many migrations are open
   */
  open(migrationId: string, kind: ChannelKind, nowMs: number): ChannelState {
    return this.#migrations.claim(migrationId, kind, nowMs);
  }

  /** What a migration gets of the link, from the next frame on and until it is closed here. */
  setShare(migrationId: string, share: MigrationShare): void {
    checkShare(share);
    this.#scheduler.setShare(migrationId, share);
  }

  /** Forgets a migration; late frames of it are answered with what was applied. */
  close(migrationId: string, reason: string): void {
    this.#scheduler.forget(migrationId);
    this.#migrations.close(migrationId, reason);
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
    this.#acknowledgements.applied(channel, nowMs);
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
    this.#acknowledgements.tick(nowMs);
    for (const { id } of this.liveness.surplus(nowMs, this.#keepsHouse)) {
      this.#events.push({ kind: "closeCarrier", carrierId: id, reason: "replaced by a newer one" });
    }
    this.#migrations.closeUnclaimed(nowMs);
  }

  wakeAtMs(): number {
    return Math.min(this.#acknowledgements.wakeAtMs, this.liveness.wakeAtMs());
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
    const reset = this.#migrations.takeReset();
    if (reset !== null) return { record: encodeReset(reset), migrationId: null };
    const acks = this.#acknowledgements.take(this.#migrations.all);
    if (acks.length > 0) return { record: encodeAck(acks), migrationId: null };
    const channel = this.#scheduler.urgent(this.#migrations.sending());
    return channel === null ? null : this.#takeFrame(channel, carrier);
  }

  /** The connection that takes bulk records; null while none does. */
  bulkCarrier(): CarrierState | null {
    const carrier = this.liveness.primary();
    return carrier === null || carrier.silent ? null : carrier;
  }

  /**
   * The next memory or disk frame for this connection; null when none may go.
   *
   * @param allowed false for a migration that is over its rate cap
   */
  nextBulk(carrierId: number, allowed: (migrationId: string) => boolean): Outgoing | null {
    const carrier = this.bulkCarrier();
    if (carrier === null || carrier.id !== carrierId) return null;
    const freeBytes = this.#windowBytes - this.heldCosts().sentBytes;
    const channel = this.#scheduler.bulk(this.#migrations.all, freeBytes, allowed);
    return channel === null ? null : this.#takeFrame(channel, carrier);
  }

  /** Migrations of which bulk frames wait to be sent, or to be applied by the peer. */
  *bulkMigrations(): Generator<string> {
    for (const migration of this.#migrations.all) {
      for (const { kind, outbox } of migration.channels) {
        if (!isBulk(kind) || outbox.unacknowledgedCost === 0) continue;
        yield migration.id;
        break;
      }
    }
  }

  get hasBulk(): boolean {
    return !this.bulkMigrations().next().done;
  }

  /** Costs of bulk frames sent and not acknowledged, and received and not applied. */
  heldCosts(): { readonly sentBytes: number; readonly receivedBytes: number } {
    return this.#migrations.heldCosts();
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
    const migration = this.#migrations.addressee(frame, nowMs);
    if (migration === null) return;
    const channel = migration.channel(frame.kind);
    const { inbox } = channel;
    channel.receivedWireBytes += recordBytes;
    // Should the peer have missed an acknowledgement, the next STATE tells it.
    if (inbox.has(frame.sequence)) return;
    const cost = frameCost(frame.payload);
    const heldBytes = isBulk(frame.kind) ? this.heldCosts().receivedBytes : inbox.heldCost;
    // Twice the window: what the peer has sent of a migration and closed since counts only here.
    const limitBytes = isBulk(frame.kind)
      ? 2 * this.limits.unacknowledgedBytesMax
      : URGENT_BYTES_MAX;
    if (heldBytes + cost > limitBytes) {
      throw frameInvalid(`${heldBytes + cost} bytes wait to be applied, limit is ${limitBytes}`);
    }
    inbox.accept({ type: frame.type, sequence: frame.sequence, payload: frame.payload });
    this.#touched.add(channel);
  }

  #receiveAck(ack: Ack, nowMs: number): void {
    const channel = this.#migrations.ownStream(ack);
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
      const channel = this.#migrations.ownStream(stream);
      if (channel === null) continue;
      const last = stream.ahead.at(-1)?.[1] ?? stream.receivedUpTo;
      if (last > channel.outbox.lastSent) throw frameInvalid("it has frames that were never sent");
      this.#receiveAck(stream, nowMs);
      listed.set(channel, stream);
    }
    const isLost = (carrierId: number) =>
      this.liveness.carriers.get(carrierId)?.silent !== false && carrierId !== carrier.id;
    for (const channel of this.#migrations.sending()) {
      channel.outbox.requeue(isLost, listed.get(channel));
    }
  }

  #receiveReset(reset: Reset, nowMs: number): void {
    const migration = this.#migrations.ownOpening(reset);
    if (migration === null) return;
    for (const channel of migration.channels) {
      const { kind } = channel;
      const appliedUpTo = reset.appliedUpTo[kindNumber(kind)];
      this.#receiveAck({ ...reset, kind, appliedUpTo }, nowMs);
    }
    this.#migrations.deafen(migration, "the peer has closed the migration");
  }

  // --- what leaves -------------------------------------------------------------------------------

  #takeFrame(channel: ChannelState, carrier: CarrierState): Outgoing {
    const { migration, kind } = channel;
    const before = channel.outbox.resentBytes;
    const frame = channel.outbox.take(carrier.id);
    this.resentBytes += channel.outbox.resentBytes - before;
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
    return { record, migrationId: migration.id, awaited: !isBulk(kind) };
  }

  #takeState(carrier: CarrierState): Outgoing {
    const { answerWanted } = carrier.stateDue!;
    carrier.stateDue = null;
    const streams = streamStates(this.#migrations.all);
    const windowBytes = this.limits.unacknowledgedBytesMax;
    return { record: encodeState({ answerWanted, windowBytes, streams }), migrationId: null };
  }
}
