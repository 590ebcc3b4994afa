import assert from "node:assert/strict";
import { DueQueue } from "../emulator/due_queue.ts";
import { Random } from "../core/random.ts";
import { type ChannelKind, isBulk } from "../wire/channel_kind.ts";
import { decodeRecord } from "../wire/frame.ts";
import type { SessionLimits } from "../wire/limits.ts";
import type { NewCarrier } from "../wire/liveness.ts";
import type { ChannelState } from "../wire/migration_channels.ts";
import { Session } from "../wire/session.ts";

/** Small, so that a few hundred frames meet every limit. */
export const WORLD_LIMITS: SessionLimits = {
  unacknowledgedBytesMax: 16_384,
  payloadBytesMax: 2_048,
  queueBytesMin: 4_096,
};

export interface WorldOptions {
  readonly seed: number;
  readonly migrations: number;
  readonly framesPerChannel: number;
  /** Mean time between faults of each kind; Infinity: none. Faults end at `healAtMs`. */
  readonly cutEveryMs: number;
  readonly stallEveryMs: number;
  readonly restartEveryMs: number;
  readonly closeEveryMs: number;
  readonly healAtMs: number;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly duplicateRatio: number;
}

type Side = 0 | 1;

const SIDES = [0, 1] as const;

interface Connection {
  readonly number: number;
  /** Id of this connection in the session of each side. */
  readonly ids: readonly [number, number];
  alive: boolean;
  stalledUntilMs: number;
  /** When the bulk lane of each direction is free. */
  readonly bulkFreeAtMs: [number, number];
}

/** What the test's own book says about one channel in one direction. */
interface Stream {
  readonly sender: ChannelState;
  readonly sent: number[];
  /** As the other side's handler saw it. */
  delivered: number;
  applied: number;
}

interface End {
  session: Session;
  incarnation: number;
  lastCarrierId: number;
  /** By migration and kind; of the present opening only. */
  streams: Map<string, Stream>;
  /** Channels whose handler is busy. */
  handling: Set<ChannelState>;
}

const BULK_BYTES_PER_MS = 100;
const KINDS: readonly ChannelKind[] = ["control", "returnPath", "memory", "disk"];

/**
 * Two sessions over connections that are cut, stall, reorder and duplicate, between processes that
 * restart. The seed decides everything. After each step the safety rules hold; after `healAtMs`
 * everything must arrive.
 */
export class SessionWorld {
  nowMs = 0;
  /** For a look at what a run exercised. */
  readonly counts = {
    connections: 0,
    cuts: 0,
    stalls: 0,
    restarts: 0,
    closes: 0,
    applied: 0,
  };
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #queue = new DueQueue<() => Side | void>();
  readonly #ends: [End, End];
  readonly #connections: Connection[] = [];
  readonly #wakeAtMs: [number, number] = [Infinity, Infinity];
  #nextDialMs = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, "session");
    this.#ends = [this.#start(1), this.#start(1)];
    this.#fault(options.cutEveryMs, () => this.#cut());
    this.#fault(options.stallEveryMs, () => this.#stall());
    this.#fault(options.restartEveryMs, () => this.#restart(this.#side()));
    this.#fault(options.closeEveryMs, () => this.#close(this.#side()));
    this.#at(0, () => this.#dialWhenNeeded());
    for (const side of SIDES) this.#at(0, () => this.#produce(side));
  }

  /** Runs until everything was applied and acknowledged. */
  run(limitMs: number): void {
    while (!(this.nowMs > this.#options.healAtMs && this.#isDone())) {
      this.nowMs = Math.max(this.nowMs, this.#queue.nextDueMs);
      if (this.nowMs >= limitMs) throw new Error(`still not done:\n${this.#describe()}`);
      const side = this.#queue.pop()();
      if (side === undefined) { for (const each of SIDES) this.#settle(each); }
      else this.#settle(side);
    }
    for (const { session } of this.#ends) {
      assert.deepEqual(session.heldCosts(), { sentBytes: 0, receivedBytes: 0 });
    }
  }

  #start(incarnation: number): End {
    return {
      session: new Session({ limits: WORLD_LIMITS, firstOpening: incarnation * 1_000 }),
      incarnation,
      lastCarrierId: 0,
      streams: new Map(),
      handling: new Set(),
    };
  }

  // --- workload ----------------------------------------------------------------------------------

  #produce(side: Side): void {
    const end = this.#ends[side];
    for (let i = 0; i < this.#options.migrations; i++) {
      const migrationId = `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;
      for (const kind of KINDS) {
        const channel = end.session.open(migrationId, kind, this.nowMs);
        const key = `${migrationId} ${kind}`;
        let stream = end.streams.get(key);
        if (stream?.sender !== channel) {
          stream = { sender: channel, sent: [], delivered: 0, applied: 0 };
          end.streams.set(key, stream);
        }
        if (stream.sent.length >= this.#options.framesPerChannel) continue;
        if (channel.migration.state !== "open") continue;
        for (let n = this.#random.nextUint32() % 8; n > 0; n--) this.#send(end, stream, kind);
      }
    }
    this.#at(20, () => {
      if (end === this.#ends[side]) this.#produce(side);
      return side;
    });
  }

  #send({ session }: End, { sender, sent }: Stream, kind: ChannelKind): void {
    if (sent.length >= this.#options.framesPerChannel) return;
    if (isBulk(kind) && sender.outbox.queuedBytes > session.queueDepthBytes(this.nowMs)) return;
    const bytes = Math.floor(this.#random.nextRatio() ** 2 * WORLD_LIMITS.payloadBytesMax);
    const mark = this.#random.nextUint32();
    const payload = new Uint8Array(4 + Math.max(0, bytes - 4)).fill(mark);
    new DataView(payload.buffer).setUint32(0, mark);
    assert.equal(session.send(sender, 1, payload), sent.push(mark));
  }

  #handle(side: Side, channel: ChannelState): void {
    const end = this.#ends[side];
    if (end.handling.has(channel)) return;
    const frame = end.session.deliver(channel);
    if (frame === null) return;
    const stream = this.#ends[1 - side].streams.get(`${channel.migration.id} ${channel.kind}`);
    assert.ok(stream, "a frame comes from an open channel");
    const mark = new DataView(frame.payload.buffer, frame.payload.byteOffset).getUint32(0);
    // The sender may have begun a new opening since; then this one is of the past and unchecked.
    const isPresent = stream.sender.migration.opening === channel.migration.peerOpening;
    if (isPresent) {
      assert.equal(frame.sequence, stream.delivered + 1, "each frame once and in order");
      assert.equal(mark, stream.sent[frame.sequence - 1], "with its own contents");
      stream.delivered++;
    }
    end.handling.add(channel);
    this.#at(this.#random.nextRatio() ** 3 * 60, () => {
      end.handling.delete(channel);
      if (end !== this.#ends[side]) return;
      end.session.applied(channel, frame.sequence, this.nowMs);
      if (isPresent && channel.migration.state !== "closed") stream.applied++;
      this.counts.applied++;
      this.#handle(side, channel);
      return side;
    });
  }

  #isDone(): boolean {
    return this.#ends.every((end, side) => {
      const streams = [...end.streams.values()];
      return streams.length === this.#options.migrations * KINDS.length &&
        streams.every(({ sender, sent }) =>
          sent.length >= this.#options.framesPerChannel && sender.migration.state === "open" &&
          sender.outbox.acknowledgedUpTo === sent.length
        ) && this.#ends[1 - side].handling.size === 0;
    });
  }

  // --- connections -------------------------------------------------------------------------------

  #dialWhenNeeded(): void {
    const { liveness } = this.#ends[0].session;
    const isHeard = [...liveness.carriers.values()].some((carrier) => !carrier.silent);
    if (!isHeard && this.nowMs >= this.#nextDialMs) {
      this.#nextDialMs = this.nowMs + 1_000;
      const between = [this.#ends[0], this.#ends[1]];
      this.#at(3 * this.#options.delayMs, () => {
        if (between.every((end, side) => end === this.#ends[side])) this.#connect();
      });
    }
    this.#at(100, () => this.#dialWhenNeeded());
  }

  #connect(): void {
    const [a, b] = this.#ends;
    const connection: Connection = {
      number: this.counts.connections++,
      ids: [++a.lastCarrierId, ++b.lastCarrierId],
      alive: true,
      stalledUntilMs: 0,
      bulkFreeAtMs: [0, 0],
    };
    this.#connections.push(connection);
    const added = [
      a.session.addCarrier(this.#carrier(0, connection, `b${b.incarnation}`), this.nowMs),
      b.session.addCarrier(this.#carrier(1, connection, `a${a.incarnation}`), this.nowMs),
    ];
    assert.deepEqual(added, [true, true]);
  }

  #carrier(side: Side, { ids, number }: Connection, peerIncarnation: string): NewCarrier {
    const preferred = number % 3 !== 0;
    return { id: ids[side], peerIncarnation, keepsHouse: side === 0, preferred };
  }

  #end(connection: Connection): void {
    if (!connection.alive) return;
    connection.alive = false;
    this.#connections.splice(this.#connections.indexOf(connection), 1);
    // Both sides learn of it at their own time.
    for (const side of SIDES) {
      const end = this.#ends[side];
      this.#at(this.#random.nextRatio() * 200, () => {
        if (end === this.#ends[side]) end.session.removeCarrier(connection.ids[side]);
      });
    }
  }

  #carry(connection: Connection, from: Side, record: Uint8Array, bulk: boolean): void {
    const to = (1 - from) as Side;
    const end = this.#ends[to];
    const copies = this.#random.chance(this.#options.duplicateRatio) ? 2 : 1;
    const departMs = bulk ? connection.bulkFreeAtMs[from] - this.nowMs : 0;
    for (let copy = 0; copy < copies; copy++) {
      const { delayMs, jitterMs } = this.#options;
      const arrive = () => {
        if (!connection.alive || end !== this.#ends[to]) return;
        const stalledMs = connection.stalledUntilMs - this.nowMs;
        if (stalledMs > 0) return this.#at(stalledMs, arrive);
        end.session.receive(connection.ids[to], record, this.nowMs);
        return to;
      };
      this.#at(departMs + delayMs + this.#random.nextRatio() * jitterMs, arrive);
    }
  }

  // --- faults ------------------------------------------------------------------------------------

  #fault(everyMs: number, happen: () => void): void {
    if (everyMs === Infinity) return;
    const next = () => {
      if (this.nowMs >= this.#options.healAtMs) return;
      happen();
      this.#at(this.#random.nextRatio() * 2 * everyMs, next);
    };
    this.#at(this.#random.nextRatio() * 2 * everyMs, next);
  }

  #cut(): void {
    const connection = this.#anyConnection();
    if (connection === undefined) return;
    this.counts.cuts++;
    this.#end(connection);
  }

  #stall(): void {
    const connection = this.#anyConnection();
    if (connection === undefined) return;
    this.counts.stalls++;
    connection.stalledUntilMs = this.nowMs + this.#random.nextRatio() * 4_000;
  }

  #restart(side: Side): void {
    this.counts.restarts++;
    this.#ends[side] = this.#start(this.#ends[side].incarnation + 1);
    for (const connection of [...this.#connections]) this.#end(connection);
    this.#wakeAtMs[side] = Infinity;
    this.#at(0, () => this.#produce(side));
  }

  #close(side: Side): void {
    const { session, streams } = this.#ends[side];
    const channels = [...streams.values()];
    if (channels.length === 0) return;
    const { migration } = channels[this.#random.nextUint32() % channels.length].sender;
    this.counts.closes++;
    session.close(migration.id, "test");
  }

  #anyConnection(): Connection | undefined {
    return this.#connections[this.#random.nextUint32() % Math.max(1, this.#connections.length)];
  }

  // --- the loop ----------------------------------------------------------------------------------

  #settle(side: Side): void {
    const end = this.#ends[side];
    this.#checkBounds(side);
    for (const event of end.session.takeEvents()) {
      if (event.kind === "closeCarrier") {
        const closed = this.#connections.find(({ ids }) => ids[side] === event.carrierId);
        if (closed) this.#end(closed);
        end.session.removeCarrier(event.carrierId);
      } else if (event.kind === "ended" && event.migration.state === "deaf") {
        // The user of a link lets go of a migration that the peer has closed.
        end.session.close(event.migration.id, "the peer closed it");
      }
    }
    for (const channel of end.session.takeTouched()) this.#handle(side, channel);
    this.#transmit(side);
    const wakeAtMs = end.session.wakeAtMs();
    if (wakeAtMs < this.#wakeAtMs[side]) {
      this.#wakeAtMs[side] = wakeAtMs;
      this.#at(wakeAtMs - this.nowMs, () => {
        if (end !== this.#ends[side]) return;
        this.#wakeAtMs[side] = Infinity;
        end.session.tick(this.nowMs);
        return side;
      });
    }
  }

  #transmit(side: Side): void {
    const { session } = this.#ends[side];
    for (const connection of this.#connections) {
      const id = connection.ids[side];
      for (;;) {
        const urgent = session.nextUrgent(id, this.nowMs);
        if (urgent === null) break;
        this.#carry(connection, side, urgent.record, false);
      }
      while (connection.bulkFreeAtMs[side] <= this.nowMs) {
        const bulk = session.nextBulk(id, () => true);
        if (bulk === null) break;
        assert.equal(decodeRecord(bulk.record).record, "frame");
        const ms = bulk.record.byteLength / BULK_BYTES_PER_MS;
        connection.bulkFreeAtMs[side] = this.nowMs + ms;
        this.#carry(connection, side, bulk.record, true);
        this.#at(ms, () => side);
      }
    }
  }

  #checkBounds(side: Side): void {
    const end = this.#ends[side];
    const { sentBytes, receivedBytes } = end.session.heldCosts();
    assert.ok(sentBytes <= WORLD_LIMITS.unacknowledgedBytesMax, "the window bounds the sender");
    // What the peer has sent of a migration that it has closed since counts here only.
    const windows = this.#options.closeEveryMs === Infinity ? 1 : 2;
    assert.ok(receivedBytes <= windows * WORLD_LIMITS.unacknowledgedBytesMax, "and the receiver");
    for (const [key, { sender, applied }] of end.streams) {
      if (sender.outbox.acknowledgedUpTo > applied) {
        throw new Error(`${key}: an acknowledgement went ahead of its frame`);
      }
    }
  }

  #at(delayMs: number, happen: () => Side | void): void {
    this.#queue.push(this.nowMs + Math.max(0, delayMs), happen);
  }

  #side(): Side {
    return this.#random.chance(0.5) ? 0 : 1;
  }

  #describe(): string {
    return this.#ends.map(({ streams }, side) =>
      [...streams].map(([key, { sender, sent, applied }]) =>
        `${side} ${
          key.slice(34)
        } ${sender.migration.state} ${sent.length} sent ${applied} applied ` +
        `${sender.outbox.acknowledgedUpTo} acknowledged`
      ).join("\n")
    ).join("\n") + JSON.stringify(this.counts);
  }
}
