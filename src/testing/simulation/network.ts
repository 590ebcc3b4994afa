import { GatewayError } from "../../core/errors.ts";
import type { Carrier, CarrierEndpoint } from "../../link/carrier.ts";
import type { PathMeasurement } from "../../link/peer_link.ts";
import type { Dice } from "./dice.ts";
import type { SimProcess } from "./process.ts";
import type { Schedule } from "./schedule.ts";

export interface PathShape {
  /** One way, before jitter. */
  readonly delayMs: number;
  /** Evenly between 0 and this for each record by itself: records overtake each other. */
  readonly jitterMs: number;
  /** Each way, over all connections; null is no limit. */
  readonly bytesPerSecond: number | null;
  /** Share of records that arrive a second time, some time later. */
  readonly duplicateRatio: number;
  /** What `Carrier.path` says of the bottleneck. */
  readonly knowsBottleneck: boolean;
}

/** How an end learns that a connection is gone: told at once, after a while, or never (silence). */
type News = "soon" | "late" | "never";

/** A refused dial takes its time, too. */
const REFUSED_MS = 20;
const LATE_NEWS_MS = 400;
/** A process that dies tells its peers with most kinds of connections, and with some not. */
const SILENT_DEATH_RATIO = 0.4;

/** The WAN between both sites: connections that come and go, and everything that can happen to them. */
export class Network {
  readonly #connections = new Set<Connection>();
  readonly #endpoints = new Map<string, SimEndpoint>();
  #outage: "cut" | "silent" | null = null;
  /** Added to the delay of each record. */
  extraDelayMs = 0;
  duplicateRatio: number;
  connectionCount = 0;

  constructor(
    readonly schedule: Schedule,
    readonly dice: Dice,
    readonly shape: PathShape,
    readonly trace: (what: string, detail?: unknown) => void,
  ) {
    this.duplicateRatio = shape.duplicateRatio;
  }

  get isOut(): boolean {
    return this.#outage !== null;
  }

  get hasConnections(): boolean {
    return this.#connections.size > 0;
  }

  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  endpoint(site: string, process: SimProcess, incarnation: string, dials: boolean): SimEndpoint {
    const endpoint = new SimEndpoint(this, site, process, incarnation, dials);
    this.#endpoints.set(site, endpoint);
    process.onEnd(() => {
      if (this.#endpoints.get(site) === endpoint) this.#endpoints.delete(site);
      const news = this.dice.chance(SILENT_DEATH_RATIO) ? "never" : "soon";
      for (const connection of this.connections) {
        if (connection.joins(process)) connection.end("the process ended", news);
      }
    });
    return endpoint;
  }

  /** Nothing passes: connections are cut and refused, or everything is only silent. */
  breakPath(kind: "cut" | "silent"): void {
    this.#outage = kind;
    this.trace(`path is ${kind}`);
    if (kind === "cut") { for (const each of this.connections) each.end("cut", "soon"); }
  }

  restorePath(): void {
    if (this.#outage !== null) this.trace("path is back");
    this.#outage = null;
  }

  /** From now on nothing goes wrong. */
  calm(): void {
    this.restorePath();
    this.extraDelayMs = 0;
    this.duplicateRatio = 0;
    for (const connection of this.#connections) connection.stall(0, "both");
  }

  ended(connection: Connection): void {
    this.#connections.delete(connection);
  }

  async join(from: SimEndpoint, signal: AbortSignal): Promise<Carrier> {
    const { process } = from;
    const roundTripMs = 2 * (this.shape.delayMs + this.extraDelayMs);
    await process.clock.sleep(1.5 * roundTripMs + this.dice.between(0, 5), signal);
    // Over a silent path nothing answers.
    if (this.#outage === "silent") await process.clock.sleep(3_600_000, signal);
    const to = this.#endpoints.get(from.site === "a" ? "b" : "a");
    if (to === undefined || this.#outage !== null) {
      await process.clock.sleep(REFUSED_MS, signal);
      throw new GatewayError("peer_unreachable", "Cannot reach the peer: nobody answers", {
        hint: "Heal the path",
      });
    }
    const connection = new Connection(this, from, to, this.connectionCount++);
    this.#connections.add(connection);
    this.trace(`connection ${connection.number}`, { from: from.site });
    // As in a real handshake, the dialler is through first.
    to.process.later(
      this.shape.delayMs,
      () => connection.isAlive ? to.accept(connection.accepted) : false,
    );
    return connection.dialled;
  }
}

export class SimEndpoint implements CarrierEndpoint {
  readonly address = "simulated";
  #listener: ((carrier: Carrier) => void) | null = null;

  constructor(
    private readonly network: Network,
    readonly site: string,
    readonly process: SimProcess,
    readonly incarnation: string,
    private readonly dials: boolean,
  ) {}

  async dial(_peer: string, signal: AbortSignal): Promise<Carrier> {
    if (this.dials) return await this.network.join(this, signal);
    await this.process.pause(1);
    throw new GatewayError("peer_unreachable", "Cannot reach the peer: it has no address here", {
      hint: "Wait for it to dial",
    });
  }

  accept(carrier: Carrier): void {
    this.#listener?.(carrier);
  }

  onAccept(listener: (carrier: Carrier) => void): void {
    this.#listener = listener;
  }

  onRefusal(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Direction = "there" | "back";

/** One connection; `there` is from who dialled. */
export class Connection {
  readonly dialled: SimCarrier;
  readonly accepted: SimCarrier;
  #isAlive = true;
  /** The next record arrives in part, and ends the connection. */
  #tears = false;
  readonly #stalledUntilMs: Record<Direction, number> = { there: 0, back: 0 };
  readonly #freeAtMs: Record<Direction, number> = { there: 0, back: 0 };

  constructor(
    private readonly network: Network,
    private readonly from: SimEndpoint,
    private readonly to: SimEndpoint,
    readonly number: number,
  ) {
    this.dialled = new SimCarrier(this, "there", network, from, to);
    this.accepted = new SimCarrier(this, "back", network, to, from);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  joins(process: SimProcess): boolean {
    return process === this.from.process || process === this.to.process;
  }

  /** Records under way are lost. */
  end(reason: string, news: News): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.network.ended(this);
    this.network.trace(`connection ${this.number} ends`, { reason, news });
    if (news === "never") return;
    for (const carrier of [this.dialled, this.accepted]) {
      const ms = this.network.dice.between(0, news === "soon" ? 5 : LATE_NEWS_MS);
      carrier.process.later(ms, () => carrier.learnsEnd(reason));
    }
  }

  /** Nothing arrives for a while, and nothing is lost. */
  stall(ms: number, directions: Direction | "both"): void {
    const untilMs = this.network.schedule.nowMs + ms;
    if (directions !== "back") this.#stalledUntilMs.there = untilMs;
    if (directions !== "there") this.#stalledUntilMs.back = untilMs;
  }

  tear(): void {
    this.#tears = true;
  }

  /** @returns ms until the next record may be handed over */
  carry(record: Uint8Array, direction: Direction, urgent: boolean): number {
    const { schedule, dice, shape, duplicateRatio } = this.network;
    let waitMs = 0;
    if (shape.bytesPerSecond !== null) {
      const startMs = Math.max(schedule.nowMs, this.#freeAtMs[direction]);
      const endMs = startMs + record.byteLength * 1000 / shape.bytesPerSecond;
      this.#freeAtMs[direction] = endMs;
      if (!urgent) waitMs = endMs - schedule.nowMs;
    }
    this.#fly(record, direction, waitMs);
    if (dice.chance(duplicateRatio)) {
      this.#fly(record, direction, waitMs + dice.nextRatio() ** 3 * 500);
    }
    return waitMs;
  }

  #fly(record: Uint8Array, direction: Direction, waitMs: number): void {
    const { schedule, dice, shape, extraDelayMs } = this.network;
    const { process } = direction === "there" ? this.to : this.from;
    const arrive = (): void | false => {
      if (!this.#isAlive || process.isOver) return false;
      const stalledMs = this.#stalledUntilMs[direction] - schedule.nowMs;
      if (stalledMs > 0 || this.network.isOut) {
        // Out of reach: it is looked at again when something may have changed.
        schedule.at(Math.max(stalledMs, 50), arrive);
        return false;
      }
      process.later(0, () => this.#deliver(record, direction));
      return false;
    };
    schedule.at(waitMs + shape.delayMs + extraDelayMs + dice.nextRatio() * shape.jitterMs, arrive);
  }

  #deliver(record: Uint8Array, direction: Direction): void | false {
    if (!this.#isAlive) return false;
    const carrier = direction === "there" ? this.accepted : this.dialled;
    const sender = direction === "there" ? this.dialled : this.accepted;
    sender.deliveredBytes += record.byteLength;
    if (!this.#tears) return carrier.deliver(record);
    this.#tears = false;
    const bytes = this.network.dice.below(record.byteLength);
    this.network.trace(`record of connection ${this.number} is torn`, { bytes });
    carrier.deliver(record.subarray(0, bytes));
    this.end("torn", "late");
  }
}

class SimCarrier implements Carrier {
  readonly kind = "memory";
  readonly peerName: string;
  readonly peerIncarnation: string;
  readonly closed: Promise<{ readonly reason: string }>;
  readonly process: SimProcess;
  #isClosed = false;
  #onClosed!: (end: { readonly reason: string }) => void;
  #handler: ((record: Uint8Array) => Promise<void> | void) | null = null;
  #early: Uint8Array[] = [];
  #lastHeardMs: number | null = null;
  deliveredBytes = 0;

  constructor(
    private readonly connection: Connection,
    private readonly direction: Direction,
    private readonly network: Network,
    own: SimEndpoint,
    peer: SimEndpoint,
  ) {
    this.process = own.process;
    this.peerName = peer.site;
    this.peerIncarnation = peer.incarnation;
    this.closed = new Promise((resolve) => this.#onClosed = resolve);
  }

  packetBytes(recordBytes: number): number {
    return recordBytes;
  }

  pace(): void {
    // Records are the smallest unit here.
  }

  async send(record: Uint8Array, urgent: boolean): Promise<void> {
    this.process.check();
    if (this.#isClosed) {
      throw new GatewayError("link_closed", "Cannot send: the connection is closed", {
        hint: "The link dials again by itself",
      });
    }
    const waitMs = this.connection.carry(record, this.direction, urgent);
    if (waitMs > 0) await this.process.pause(waitMs);
  }

  receive(handler: (record: Uint8Array) => Promise<void> | void): void {
    this.#handler = handler;
    for (const record of this.#early.splice(0)) void handler(record);
  }

  deliver(record: Uint8Array): void | false {
    if (this.#isClosed) return false;
    this.#lastHeardMs = this.process.clock.nowMs();
    if (this.#handler === null) this.#early.push(record);
    else void this.#handler(record);
  }

  path(): PathMeasurement {
    const { delayMs, jitterMs, bytesPerSecond, knowsBottleneck } = this.network.shape;
    return {
      roundTripMs: 2 * delayMs + jitterMs,
      minRoundTripMs: 2 * delayMs,
      bottleneckBytesPerSecond: knowsBottleneck ? bytesPerSecond : null,
      goodputBytesPerSecond: null,
      lossRatio: 0,
      queueMs: 0,
      jitterMs,
      silentMs: this.#lastHeardMs === null ? null : this.process.clock.nowMs() - this.#lastHeardMs,
    };
  }

  close(reason: string): Promise<void> {
    this.learnsEnd(reason);
    this.connection.end(reason, "soon");
    return Promise.resolve();
  }

  learnsEnd(reason: string): void | false {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    this.#onClosed({ reason });
  }
}
