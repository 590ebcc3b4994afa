import type { PacketLane, PeerLink } from "../link/peer_link.ts";
import { Assembly, piecesOf, tunnelOf } from "./tunnel_pieces.ts";

/** One open tunnel to a peer. */
export interface OpenTunnel {
  /** @returns false where the packet was dropped here */
  send(packet: Uint8Array): boolean;
  close(): void;
}

interface Registered {
  readonly peer: string;
  readonly assembly: Assembly;
  readonly receive: (packet: Uint8Array) => void;
}

/** All tunnels of a site over the packets of its links: one number for each move. */
export class TunnelHub {
  readonly #lanes = new Map<string, PacketLane>();
  readonly #tunnels = new Map<number, Registered>();

  /** Takes the packets of a new link; links live as long as the gateway. */
  addLink({ peerName, packets }: Pick<PeerLink, "peerName" | "packets">): void {
    if (!packets) return;
    this.#lanes.set(peerName, packets);
    packets.receive((bytes) => {
      const number = tunnelOf(bytes);
      const tunnel = number === null ? undefined : this.#tunnels.get(number);
      // A tunnel is between two sites: nobody else speaks in it.
      if (tunnel?.peer !== peerName) return;
      const packet = tunnel!.assembly.add(bytes);
      if (packet !== null) tunnel!.receive(packet);
    });
  }

  /**
   * @param number the same at both ends
   * @param receive is given each packet of the peer; valid until it returns
   */
  open(peer: string, number: number, receive: (packet: Uint8Array) => void): OpenTunnel {
    const registered: Registered = { peer, assembly: new Assembly(), receive };
    this.#tunnels.set(number, registered);
    let packetNumber = 0;
    return {
      send: (packet) => {
        const lane = this.#lanes.get(peer);
        if (!lane) return false;
        const pieces = piecesOf(number, packetNumber++, packet, lane.bytesMax);
        return pieces.length > 0 && pieces.every((piece) => lane.send(piece));
      },
      close: () => {
        if (this.#tunnels.get(number) === registered) this.#tunnels.delete(number);
      },
    };
  }
}

/** The number of a move's tunnel: both sites know its id. */
export function tunnelNumber(migration: string): number {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (const letter of migration) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}
