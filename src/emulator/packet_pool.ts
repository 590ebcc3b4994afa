/** A packet on its way through a TUN link; its buffer is used again after the last delivery. */
export interface PooledPacket {
  buffer: Uint8Array;
  packetBytes: number;
  /** Descriptor to write it to. */
  toFd: number;
  /** Deliveries to come. */
  references: number;
}

/** Acknowledgements and the like are kept in small buffers: millions may be in flight. */
const SMALL_BYTES = 128;

/** Keeps buffers of two sizes, so that a busy link makes no garbage. */
export class PacketPool {
  readonly #small: PooledPacket[] = [];
  readonly #large: PooledPacket[] = [];

  constructor(readonly largeBytes: number) {}

  /** A packet with room for the largest, without references. */
  takeLarge(): PooledPacket {
    return this.#large.pop() ?? empty(this.largeBytes);
  }

  /** Moves a small packet out of its large buffer, so that this is free again. */
  shrink(packet: PooledPacket): PooledPacket {
    if (packet.packetBytes > SMALL_BYTES) return packet;
    const small = this.#small.pop() ?? empty(SMALL_BYTES);
    small.buffer.set(packet.buffer.subarray(0, packet.packetBytes));
    small.packetBytes = packet.packetBytes;
    small.toFd = packet.toFd;
    this.#large.push(packet);
    return small;
  }

  release(packet: PooledPacket): void {
    if (--packet.references > 0) return;
    (packet.buffer.length === this.largeBytes ? this.#large : this.#small).push(packet);
  }
}

function empty(bufferBytes: number): PooledPacket {
  return { buffer: new Uint8Array(bufferBytes), packetBytes: 0, toFd: -1, references: 0 };
}
