import type { GatewayError } from "../core/errors.ts";
import type { ChannelKind } from "../wire/channel_kind.ts";
import type { MigrationShare } from "../wire/migration_share.ts";

export type { MigrationShare, Priority } from "../wire/migration_share.ts";
export { CHANNEL_KINDS, type ChannelKind } from "../wire/channel_kind.ts";

/**
 * What the rest of the gateway sees of a peer: named channels whose frames arrive in order, exactly
 * once, across any number of connections and outages (design, section 4). Implemented by
 * `session_link.ts` over the pure session of `src/wire/`.
 */
export interface PeerLink {
  readonly peerName: string;
  /** `up` while an authenticated connection exists. */
  readonly state: "up" | "down";
  /** The channel of one migration; the same object for the same arguments while it is open. */
  channel(migrationId: string, kind: ChannelKind): Channel;
  /** Forgets a migration's channels on this side: nothing of them is sent, kept or delivered. */
  closeChannels(migrationId: string): void;
  /** Called with the first frame of a migration that this side has no channel of. */
  onNewMigration(listener: (migrationId: string) => void): void;
  /**
   * `up`, `down`: connections; `restarted`: the peer's incarnation changed, every channel starts
   * anew and nothing unacknowledged will be replayed; `refused`: peer or we refused (see reason).
   */
  onEvent(listener: (event: LinkEvent) => void): () => void;
  path(): PathMeasurement;
  /** Packets beside the channels; absent where a link has none. */
  readonly packets?: PacketLane;
  /**
   * Measures what the path carries without a move: sends bytes without meaning, below everything
   * else, until the estimate stands still or a limit is reached. While a move sends, and from the
   * moment on at which one begins, it only looks on. Probes at the same time are one and the same.
   *
   * @throws {DOMException} `AbortError` when the signal aborts
   */
  probePath(options?: ProbeOptions): Promise<PathProbe>;
  /** Cap over everything that goes to this peer, bytes per second; null takes it away. */
  setRateLimit(bytesPerSecond: number | null): void;
  /** Cap of one migration, bytes per second; null takes it away. */
  setMigrationRateLimit(migrationId: string, bytesPerSecond: number | null): void;
  /**
   * What one migration gets of the link that it shares with others to this peer, memory and disks
   * together, from the next frame on; until its channels are closed here.
   *
   * @throws {RangeError} for a weight that is no integer from 1 to 1000
   */
  setMigrationShare(migrationId: string, share: MigrationShare): void;
  close(): Promise<void>;
}

/** One numbered stream of frames, in both directions, of one migration. */
export interface Channel {
  /**
   * Numbers the frame and queues it. Resolves when it is within the peer's memory limit
   * (`UNACKNOWLEDGED_BYTES_MAX`) and within the send queue's depth; control frames do not wait.
   * `payload` is kept until acknowledged and must not be changed.
   *
   * @returns the frame's sequence number, from 1
   * @throws {GatewayError} `link_closed`, `frame_too_long`
   */
  send(type: number, payload: Uint8Array): Promise<number>;
  /** Frames in order. A frame counts as applied, and is acknowledged, when the handler resolves. */
  receive(
    handler: (frame: { type: number; sequence: number; payload: Uint8Array }) => Promise<void>,
  ): void;
  /** Sequence number of the last frame sent here; 0 before the first. */
  readonly lastSent: number;
  /** Highest sequence number that the peer has applied. */
  readonly appliedByPeer: number;
  /** Highest sequence number applied here. */
  readonly appliedHere: number;
  /** Resolves when the peer has applied `sequence`; rejects with `link_closed` when it never will. */
  whenAppliedByPeer(sequence: number): Promise<void>;
  whenAppliedHere(sequence: number): Promise<void>;
  /** Payload bytes sent and not yet acknowledged. */
  readonly unacknowledgedBytes: number;
  /** All bytes handed to the carrier for this channel in this direction, framing and replays included. */
  readonly wireBytes: number;
  /** The same, received. */
  readonly receivedWireBytes: number;
}

/** Packets to and from a peer: each arrives once, late, or not at all. */
export interface PacketLane {
  /** Bytes of the longest packet that can be sent now. */
  readonly bytesMax: number;
  /** @returns false where it was dropped here: too long, no connection, or too many wait */
  send(packet: Uint8Array): boolean;
  /** Set once; a packet is valid until the handler returns. */
  receive(handler: (packet: Uint8Array) => void): void;
}

/** What happens to a link; see `PeerLink.onEvent`. */
export type LinkEvent =
  | { readonly kind: "up" | "down" | "restarted" }
  | {
    readonly kind: "refused";
    readonly code: string;
    readonly message: string;
    readonly hint: string;
  }
  /** A handler of this migration rejected: its channels are closed, the link goes on. */
  | { readonly kind: "handlerFailed"; readonly migrationId: string; readonly error: GatewayError }
  /** The peer takes no more frames of this migration; what it sent is still delivered. */
  | { readonly kind: "closedByPeer"; readonly migrationId: string; readonly reason: string };

/** Limits of a probe. */
export interface ProbeOptions {
  /** At most so long; without it 3 s, or 12 round trips of a longer path. */
  readonly secondsMax?: number;
  /** At most so much filler, framing included; without it 64 MiB. */
  readonly bytesMax?: number;
  readonly signal?: AbortSignal;
}

/** What a probe saw; null while unknown, everything where there is no connection. */
export interface PathProbe {
  /**
   * `filler`: goodput is what the path carried, or the link's cap where that is less. `moves`: a move
   * was sending, goodput is what went through, and only the bottleneck tells what could have.
   */
  readonly source: "filler" | "moves";
  readonly seconds: number;
  /** Filler handed to the carrier. */
  readonly sentBytes: number;
  /** False when time or bytes were at an end before the goodput stood still: rather too low. */
  readonly isSettled: boolean;
  readonly bottleneckBytesPerSecond: number | null;
  /** Of the time in which it stood still; where it did not, of the last half. */
  readonly goodputBytesPerSecond: number | null;
  /** Least and most of it in pieces of 200 ms or a round trip, whichever is longer. */
  readonly goodputRange: { readonly low: number; readonly high: number } | null;
  readonly roundTripMs: number | null;
  readonly minRoundTripMs: number | null;
  readonly jitterMs: number | null;
  readonly lossRatio: number | null;
}

/** Present estimates; null while unknown. */
export interface PathMeasurement {
  readonly roundTripMs: number | null;
  readonly minRoundTripMs: number | null;
  /** Estimate of the bottleneck, as payload bytes per second that the carrier can hand over. */
  readonly bottleneckBytesPerSecond: number | null;
  /** Payload delivered per second over the last second or so. */
  readonly goodputBytesPerSecond: number | null;
  readonly lossRatio: number | null;
  /**
   * Queueing delay of the path now, on the way to the peer: ms above the least of the last minutes,
   * whoever's bytes wait there.
   */
  readonly queueMs: number | null;
  /** Mean deviation of the one-way delay, ms, from one packet that measures to the next. */
  readonly jitterMs: number | null;
  /** ms since anything was heard from the peer; null when never. */
  readonly silentMs: number | null;
}
