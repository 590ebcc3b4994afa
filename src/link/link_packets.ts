import { encodeRecord, RECORD_HEADER_BYTES, RECORD_TYPES } from "../wire/frame.ts";
import type { Carrier } from "./carrier.ts";
import type { PacketLane } from "./peer_link.ts";

/** Most of a packet where the connection sets no bound: what one record then holds. */
const RECORD_PACKET_BYTES_MAX = 1_400;
/** Records that may wait for a connection without datagrams; more are dropped, as a full queue does. */
const WAITING_MAX = 64;

/**
 * Packets beside everything else of a link (protocol version 1, implemented): QUIC datagrams
 * `{ u8 5, packet }` where the connection has them, records of type 130 where it has not. Nothing is
 * sent again, numbered or put in order.
 */
export class LinkPackets implements PacketLane {
  #handler: ((packet: Uint8Array) => void) | null = null;
  #waiting = 0;

  /** @param inUse the connection that frames go over */
  constructor(private readonly inUse: () => Carrier | null) {}

  get bytesMax(): number {
    return this.inUse()?.packets?.bytesMax ?? RECORD_PACKET_BYTES_MAX;
  }

  send(packet: Uint8Array): boolean {
    const carrier = this.inUse();
    if (carrier === null || packet.length > this.bytesMax) return false;
    if (carrier.packets) return carrier.packets.send(packet);
    if (this.#waiting >= WAITING_MAX) return false;
    this.#waiting++;
    carrier.send(encodeRecord(RECORD_TYPES.packet, packet), true).catch(() => {})
      .finally(() => this.#waiting--);
    return true;
  }

  receive(handler: (packet: Uint8Array) => void): void {
    this.#handler = handler;
  }

  /**
   * Listens to a new connection: to its datagrams, and to its records, which all go on to `session`.
   */
  listen(carrier: Carrier, session: (record: Uint8Array) => void): (record: Uint8Array) => void {
    carrier.packets?.receive((packet) => this.#handler?.(packet));
    return (record) => {
      const packet = record.subarray(RECORD_HEADER_BYTES);
      // A longer one is none that a gateway sends, and would be kept by whoever waits for its rest.
      if (record[0] === RECORD_TYPES.packet && packet.length <= RECORD_PACKET_BYTES_MAX) {
        this.#handler?.(packet);
      }
      session(record);
    };
  }
}
