import type { PacketLane } from "./peer_link.ts";

/** First byte of a datagram that is a packet of `LinkPackets`; path datagrams and copies have others. */
const TYPE = 5;

/** A connection that sends datagrams. */
export interface DatagramLane {
  readonly conn: { readonly maxDatagramSize: number };
  sendDatagram(bytes: Uint8Array): void;
}

/** Packets as QUIC datagrams of one connection of the bundle. */
export class QuicPackets implements PacketLane {
  #handler: ((packet: Uint8Array) => void) | null = null;

  /** @param lane null while there is none */
  constructor(private readonly lane: () => DatagramLane | null) {}

  get bytesMax(): number {
    return (this.lane()?.conn.maxDatagramSize ?? 1) - 1;
  }

  send(packet: Uint8Array): boolean {
    const lane = this.lane();
    if (lane === null || packet.length + 1 > lane.conn.maxDatagramSize) return false;
    const datagram = new Uint8Array(1 + packet.length);
    datagram[0] = TYPE;
    datagram.set(packet, 1);
    lane.sendDatagram(datagram);
    return true;
  }

  receive(handler: (packet: Uint8Array) => void): void {
    this.#handler = handler;
  }

  /** @returns false for a datagram that is no packet */
  heard(datagram: Uint8Array): boolean {
    if (datagram[0] !== TYPE) return false;
    this.#handler?.(datagram.subarray(1));
    return true;
  }
}
