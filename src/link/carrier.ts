import type { PacketLane, PathMeasurement } from "./peer_link.ts";

/** Carriers between gateways: QUIC over UDP, TLS over TCP. */
export type CarrierKind = "quic" | "tls";

/**
 * A bundle of authenticated connections to one peer that carries whole records, in no promised
 * order across lanes and with no promise of delivery after `closed`. The session above numbers,
 * orders and replays.
 */
export interface Carrier {
  readonly kind: CarrierKind | "memory";
  readonly peerName: string;
  /** Incarnation of the peer's gateway process, from the handshake. */
  readonly peerIncarnation: string;
  /**
   * Hands over one record. Resolves when the carrier has taken it at its paced rate; the caller
   * sends the next one only then, so that a more urgent record never waits behind a queue.
   * Urgent records use a stream of their own.
   *
   * @throws {GatewayError} `link_closed`
   */
  send(record: Uint8Array, urgent: boolean): Promise<void>;
  /**
   * Sends a record that `send` was given once more, by a way that a loss on the first one does not
   * delay, if the carrier has such a way and the record is short. Without any promise of delivery.
   */
  copy?(record: Uint8Array): void;
  /** Set once, before any record is delivered. The next record of a lane waits for its promise. */
  receive(handler: (record: Uint8Array) => Promise<void> | void): void;
  path(): PathMeasurement;
  /** Datagrams, where the connection has them. */
  readonly packets?: PacketLane;
  /** TCP's, where the system's own paces the connections and it can be told; else absent or null. */
  readonly congestionControl?: string | null;
  /**
   * What a record of this length costs on the wire, as well as the carrier can tell: bytes of IP
   * packets, with everything around the record and what is sent again. Rate caps count by it.
   */
  packetBytes(recordBytes: number): number;
  /**
   * Spreads what is sent evenly over time, at no more than this rate on the wire; null: as fast as
   * the path takes it. Holds at once, for a record that is under way as well. Urgent records are
   * counted, and do not wait for it.
   */
  pace(bytesPerSecond: number | null): void;
  /** Bytes that the peer has read so far, framing included, as far as it told. */
  readonly deliveredBytes: number;
  /** Resolves (never rejects) when no connection of the bundle is left. */
  readonly closed: Promise<{ readonly reason: string }>;
  close(reason: string): Promise<void>;
}

/** Makes and accepts carriers; one per gateway. Trust is decided inside, before any record passes. */
export interface CarrierEndpoint {
  readonly address: string;
  /**
   * Dials over `kind`; QUIC when not told.
   *
   * @throws {GatewayError} `peer_unreachable`, `peer_not_trusted`, `protocol_mismatch`, `handshake_failed`
   */
  dial(peerName: string, signal: AbortSignal, kind?: CarrierKind): Promise<Carrier>;
  /** Called for each accepted and authenticated carrier. */
  onAccept(listener: (carrier: Carrier) => void): void;
  /** Called for each refused contact: audit. */
  onRefusal(listener: (refusal: { remote: string; code: string; message: string }) => void): void;
  /**
   * Reads this site's identity again and uses it for connections from now on; those that there are go
   * on. Resolves with what is in use now where that is another one, else with null.
   *
   * @throws {GatewayError} `certificate_invalid`, `config_invalid`; all stays as it was then
   */
  renewIdentity?(): Promise<{ fingerprint: string; generation: number } | null>;
  close(): Promise<void>;
}
