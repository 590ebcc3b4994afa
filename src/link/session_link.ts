import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import { encodeClock } from "../wire/clock_record.ts";
import type { SessionLimits } from "../wire/limits.ts";
import type { ChannelState } from "../wire/migration_channels.ts";
import type { MigrationShare } from "../wire/migration_share.ts";
import { type Outgoing, Session, type SessionEvent } from "../wire/session.ts";
import { Alarm } from "./alarm.ts";
import type { Carrier } from "./carrier.ts";
import { Prober } from "./prober.ts";
import { type ChannelHost, LinkChannel } from "./link_channel.ts";
import { LinkPackets } from "./link_packets.ts";
import type {
  Channel,
  ChannelKind,
  LinkEvent,
  PathMeasurement,
  PathProbe,
  PeerLink,
  ProbeOptions,
} from "./peer_link.ts";
import { PeerClock } from "./peer_clock.ts";
import { RateCaps } from "./rate_caps.ts";
import { Redialer } from "./redialer.ts";

/** A move that sent bulk within this is taken to go on: no filler beside it. */
const BUSY_MS = 1_000;

export interface SessionLinkOptions {
  readonly peerName: string;
  readonly clock: Clock;
  /** Makes a new connection; null where only the peer dials. */
  readonly dial: ((signal: AbortSignal) => Promise<Carrier>) | null;
  /** Of this gateway process. */
  readonly incarnation: string;
  readonly limits?: Partial<SessionLimits>;
}

/** A `PeerLink` that is fed with connections: its own and those that the endpoint accepts. */
export interface SessionLink extends PeerLink {
  /**
   * Takes an authenticated connection into use, or closes it when it belongs to the past.
   *
   * @param dialled true for one that this side has made beside those of `dial`
   */
  attach(carrier: Carrier, dialled?: boolean): void;
  /** The connection that frames go over, and whether this side dialled it; null without one. */
  inUse(): { readonly carrier: Carrier; readonly dialled: boolean } | null;
  /** True while bulk waits for the connection to take it, and not for a rate cap. */
  readonly isBusy: boolean;
  /** Payload bytes sent again since the link was made: what its outages cost. */
  readonly resentBytes: number;
  /** The peer's wall clock less ours, ms, to half a round trip; null before it was told. */
  readonly clockOffsetMs: number | null;
  /** Dials now, if a connection is needed and refusals had put that off. */
  retry(): void;
  /** Ends the present connections: whoever comes again has to prove itself anew. */
  disconnect(reason: string): void;
}

/** The link to one peer: drives the pure session over carriers, dials, and applies rate caps. */
export function createSessionLink(options: SessionLinkOptions): SessionLink {
  return new Driver(options);
}

interface Attached {
  readonly id: number;
  readonly carrier: Carrier;
  readonly dialled: boolean;
  isSendingUrgent: boolean;
  isSendingBulk: boolean;
}

class Driver implements SessionLink, ChannelHost {
  readonly peerName: string;
  readonly #clock: Clock;
  readonly #incarnation: string;
  readonly #session: Session;
  readonly #redialer: Redialer | null;
  readonly #carriers = new Map<number, Attached>();
  readonly #channels = new Map<ChannelState, LinkChannel>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #onNewMigration: ((migrationId: string) => void)[] = [];
  readonly #caps: RateCaps;
  #lastCarrierId = 0;
  #isClosed = false;
  #isSettling = false;
  readonly #alarm: Alarm;
  readonly #prober: Prober;
  readonly #clocks = new PeerClock();
  readonly packets = new LinkPackets(() => this.inUse()?.carrier ?? null);
  #bulkAtMs = -Infinity;
  /** When a rate cap lets the next bulk frame pass; Infinity when none holds one back. */
  #rateReadyAtMs = Infinity;
  /** As the connection in use has measured it, or one before. */
  #bottleneck: number | null = null;

  constructor({ peerName, clock, dial, incarnation, limits }: SessionLinkOptions) {
    this.peerName = peerName;
    this.#clock = clock;
    this.#incarnation = incarnation;
    // Openings rise across links of one process, should this link be closed and made again.
    const firstOpening = Math.max(1, Math.floor(clock.wallMs())) * 1000;
    this.#session = new Session({ limits, firstOpening });
    this.#caps = new RateCaps(clock.nowMs());
    this.#alarm = new Alarm(clock, () => this.#onTime());
    this.#prober = new Prober({
      clock,
      carrier: () => this.inUse()?.carrier ?? null,
      isBusy: () => this.#session.hasBulk || clock.nowMs() - this.#bulkAtMs < BUSY_MS,
      wake: () => this.#settle(),
    });
    this.#redialer = dial === null ? null : new Redialer({
      clock,
      dial,
      isNeeded: () => !this.#isClosed && !this.#isHeard(),
      onCarrier: (carrier) => this.#attach(carrier, true),
      onRefused: (error) => this.#emit({ kind: "refused", ...error.toJSON() }),
    });
  }

  get state(): "up" | "down" {
    return this.#carriers.size > 0 ? "up" : "down";
  }

  get resentBytes(): number {
    return this.#session.resentBytes;
  }

  get clockOffsetMs(): number | null {
    return this.#clocks.offsetMs;
  }

  // --- PeerLink ----------------------------------------------------------------------------------

  channel(migrationId: string, kind: ChannelKind): Channel {
    if (this.#isClosed) throw linkClosed();
    const state = this.#session.open(migrationId, kind, this.#clock.nowMs());
    let channel = this.#channels.get(state);
    if (channel === undefined) {
      channel = new LinkChannel(state, this);
      this.#channels.set(state, channel);
    }
    return channel;
  }

  closeChannels(migrationId: string): void {
    this.#caps.forget(migrationId);
    this.#session.close(migrationId, "the migration was closed here");
    this.#settle();
  }

  onNewMigration(listener: (migrationId: string) => void): void {
    this.#onNewMigration.push(listener);
  }

  onEvent(listener: (event: LinkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  path(): PathMeasurement {
    const nowMs = this.#clock.nowMs();
    const { liveness } = this.#session;
    const measured = this.inUse()?.carrier.path();
    if (measured) this.#bottleneck = measured.bottleneckBytesPerSecond ?? this.#bottleneck;
    return {
      roundTripMs: measured?.roundTripMs ?? liveness.roundTripMs,
      minRoundTripMs: measured?.minRoundTripMs ?? liveness.minRoundTripMs,
      // What the last connection knew, until the next one has found it out.
      bottleneckBytesPerSecond: measured ? this.#bottleneck : null,
      goodputBytesPerSecond: this.#session.goodputBytesPerSecond(nowMs),
      lossRatio: measured?.lossRatio ?? null,
      queueMs: measured?.queueMs ?? null,
      jitterMs: measured?.jitterMs ?? null,
      silentMs: liveness.lastHeardMs === null ? null : nowMs - liveness.lastHeardMs,
    };
  }

  probePath(options?: ProbeOptions): Promise<PathProbe> {
    return this.#prober.probe(options);
  }

  setRateLimit(bytesPerSecond: number | null): void {
    this.#caps.setLink(bytesPerSecond, this.#clock.nowMs());
    this.#settle();
  }

  setMigrationRateLimit(migrationId: string, bytesPerSecond: number | null): void {
    this.#caps.setMigration(migrationId, bytesPerSecond, this.#clock.nowMs());
    this.#settle();
  }

  setMigrationShare(migrationId: string, share: MigrationShare): void {
    this.#session.setShare(migrationId, share);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#redialer?.stop();
    this.#alarm.stop();
    for (const { migration } of this.#channels.keys()) {
      this.#session.close(migration.id, "the link was closed");
    }
    this.#settle();
    await Promise.all(
      [...this.#carriers.values()].map(({ carrier }) => carrier.close("the link was closed")),
    );
  }

  // --- connections -------------------------------------------------------------------------------

  attach(carrier: Carrier, dialled = false): void {
    this.#attach(carrier, dialled);
  }

  inUse(): Attached | null {
    const primary = this.#session.liveness.primary();
    return primary === null ? null : this.#carriers.get(primary.id) ?? null;
  }

  get isBusy(): boolean {
    return this.inUse()?.isSendingBulk ?? false;
  }

  retry(): void {
    this.#redialer?.retry();
  }

  disconnect(reason: string): void {
    for (const { id, carrier } of [...this.#carriers.values()]) {
      void carrier.close(reason);
      this.#detach(id);
    }
  }

  #attach(carrier: Carrier, dialled: boolean): void {
    if (this.#isClosed) return void carrier.close("the link was closed");
    const id = ++this.#lastCarrierId;
    const { peerIncarnation } = carrier;
    const keepsHouse = this.#incarnation < peerIncarnation;
    const isNew = this.#session.addCarrier(
      { id, peerIncarnation, keepsHouse, preferred: dialled === keepsHouse, kind: carrier.kind },
      this.#clock.nowMs(),
    );
    if (!isNew) return void carrier.close("the peer has restarted since");
    const wasDown = this.state === "down";
    this.#carriers.set(id, { id, carrier, dialled, isSendingUrgent: false, isSendingBulk: false });
    carrier.receive(this.packets.listen(carrier, (record) => this.#receive(id, record)));
    void carrier.closed.then(() => this.#detach(id));
    if (wasDown) this.#emit({ kind: "up" });
    this.#redialer?.kick();
    this.#settle();
  }

  #detach(id: number): void {
    if (!this.#carriers.delete(id)) return;
    this.#session.removeCarrier(id);
    if (this.state === "down") this.#emit({ kind: "down" });
    this.#redialer?.kick();
    this.#settle();
  }

  #receive(id: number, record: Uint8Array): void {
    if (!this.#carriers.has(id)) return;
    if (!this.#isHeard()) this.#redialer?.kick();
    try {
      this.#clocks.heard(record, this.#clock.wallMs(), this.#session.liveness.roundTripMs);
      this.#session.receive(id, record, this.#clock.nowMs());
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      void this.#carriers.get(id)?.carrier.close(thrown.message);
      if (this.#redialer !== null) this.#redialer.refused(thrown);
      else this.#emit({ kind: "refused", ...thrown.toJSON() });
      this.#detach(id);
    }
    this.#settle();
  }

  /** True while some connection is not silent. */
  #isHeard(): boolean {
    for (const carrier of this.#session.liveness.carriers.values()) {
      if (!carrier.silent) return true;
    }
    return false;
  }

  // --- ChannelHost -------------------------------------------------------------------------------

  send(state: ChannelState, type: number, payload: Uint8Array): number {
    const sequence = this.#session.send(state, type, payload);
    this.#settle();
    return sequence;
  }

  queueDepthBytes(): number {
    return this.#session.queueDepthBytes(this.#clock.nowMs());
  }

  deliver(state: ChannelState): { type: number; sequence: number; payload: Uint8Array } | null {
    return this.#session.deliver(state);
  }

  applied(state: ChannelState, sequence: number): void {
    this.#session.applied(state, sequence, this.#clock.nowMs());
    this.#channels.get(state)?.touched();
    this.#settle();
  }

  handlerFailed({ migration }: ChannelState, thrown: unknown): void {
    if (migration.state === "closed") return;
    const error = toGatewayError(thrown);
    this.#session.close(migration.id, error.message);
    this.#emit({ kind: "handlerFailed", migrationId: migration.id, error });
    this.#settle();
  }

  // --- the loop ----------------------------------------------------------------------------------

  /** Acts upon everything that a change has brought about. */
  #settle(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    try {
      for (;;) {
        const events = this.#session.takeEvents();
        const touched = [...this.#session.takeTouched()];
        if (events.length === 0 && touched.length === 0) break;
        for (const state of touched) this.#channels.get(state)?.touched();
        for (const event of events) this.#act(event);
      }
    } finally {
      this.#isSettling = false;
    }
    if (this.#isClosed) return;
    this.#rateReadyAtMs = Infinity;
    const pace = this.#caps.paceBytesPerSecond(this.#session.bulkMigrations());
    for (const { carrier } of this.#carriers.values()) carrier.pace(pace);
    for (const attached of this.#carriers.values()) {
      void this.#sendUrgent(attached);
      void this.#sendBulk(attached);
    }
    this.#armTimer();
  }

  #act(event: SessionEvent): void {
    if (event.kind === "closeCarrier") {
      void this.#carriers.get(event.carrierId)?.carrier.close(event.reason);
      this.#detach(event.carrierId);
    } else if (event.kind === "restarted") this.#emit({ kind: "restarted" });
    else if (event.kind === "newMigration") {
      for (const listener of this.#onNewMigration) listener(event.migrationId);
      if (this.#onNewMigration.length === 0) {
        this.#session.close(event.migrationId, "nobody here takes migrations");
      }
    } else {
      const { migration, reason } = event;
      if (migration.state === "closed") {
        for (const state of migration.channels) this.#channels.delete(state);
      } else this.#emit({ kind: "closedByPeer", migrationId: migration.id, reason });
    }
  }

  async #sendUrgent(attached: Attached): Promise<void> {
    if (attached.isSendingUrgent) return;
    attached.isSendingUrgent = true;
    for (;;) {
      const outgoing = this.#session.nextUrgent(attached.id, this.#clock.nowMs());
      if (outgoing === null) break;
      if (!await this.#handOver(attached, outgoing, true)) return;
    }
    attached.isSendingUrgent = false;
  }

  async #sendBulk(attached: Attached): Promise<void> {
    if (attached.isSendingBulk) return;
    attached.isSendingBulk = true;
    for (;;) {
      const outgoing = this.#nextBulk(attached.id);
      if (outgoing === null) break;
      if (!await this.#handOver(attached, outgoing, false)) return;
    }
    attached.isSendingBulk = false;
    this.#armTimer();
  }

  #nextBulk(carrierId: number): Outgoing | null {
    const nowMs = this.#clock.nowMs();
    const isReady = (migrationId: string | null) => {
      const readyAtMs = this.#caps.readyAtMs(migrationId, nowMs);
      if (readyAtMs > nowMs) this.#rateReadyAtMs = Math.min(this.#rateReadyAtMs, readyAtMs);
      return readyAtMs <= nowMs;
    };
    const bulk = this.#session.nextBulk(carrierId, isReady);
    if (bulk !== null) {
      this.#bulkAtMs = nowMs;
      return bulk;
    }
    if (!this.#prober.hasFiller || this.#session.bulkCarrier()?.id !== carrierId) return null;
    return isReady(null) ? { record: this.#prober.next(), migrationId: null } : null;
  }

  /** @returns false when the connection is gone; the session sends the record again elsewhere */
  async #handOver({ id, carrier }: Attached, outgoing: Outgoing, urgent: boolean) {
    const { record, migrationId, awaited } = outgoing;
    this.#caps.spend(migrationId, carrier.packetBytes(record.byteLength), this.#clock.nowMs());
    // Room in the queue was made: whoever waits for it goes on while the record is under way.
    const sent = carrier.send(record, urgent);
    if (awaited) carrier.copy?.(record);
    this.#settle();
    try {
      await sent;
      return !this.#isClosed;
    } catch (thrown) {
      void carrier.close(toGatewayError(thrown).message);
      this.#detach(id);
      return false;
    }
  }

  #armTimer(): void {
    if (!this.#isClosed) this.#alarm.set(Math.min(this.#session.wakeAtMs(), this.#rateReadyAtMs));
  }

  #onTime(): void {
    this.#session.tick(this.#clock.nowMs());
    this.#tellClock();
    if (!this.#isHeard()) this.#redialer?.kick();
    this.#settle();
  }

  /** Nobody waits for it, and one that is lost is followed by the next. */
  #tellClock(): void {
    const carrier = this.inUse()?.carrier ?? null;
    if (carrier === null || !this.#clocks.isDue(this.#clock.nowMs())) return;
    carrier.send(encodeClock(this.#clock.wallMs()), true).catch(() => {});
  }

  #emit(event: LinkEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function linkClosed(): GatewayError {
  return new GatewayError("link_closed", "Cannot open a channel: the link is closed", {
    hint: "The gateway is shutting down, or the peer is no longer trusted",
  });
}
