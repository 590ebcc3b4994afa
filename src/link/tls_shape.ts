import { CHUNK_HEADER_BYTES } from "./quic_chunks.ts";
import { RateLimit } from "./rate_limit.ts";
import { tlsPacketBytes } from "./tls_cost.ts";

/** Longest chunk: one write of the sender. */
export const TLS_CHUNK_BYTES_MAX = 64 * 1024;
/** A chunk is what leaves in this time; several lanes share a rate better in small ones. */
const CHUNK_MS = 5;
const CHUNK_BYTES_MIN = 16 * 1024;
/** What is spread over time leaves in two packets at least. */
const CAPPED_CHUNK_BYTES_MIN = 2_800;
/** What a program that is late catches up with at once of a cap. */
const CAP_BURST_MS = 50;

/** In what pieces records leave over TLS, what these cost, and how a cap spreads them; pure. */
export class TlsShape {
  /** Of the peer. */
  address = "";
  readonly #cap: RateLimit;

  constructor(nowMs: number) {
    this.#cap = new RateLimit(null, nowMs, CAP_BURST_MS);
  }

  /** At most so many bytes a second on the wire; null: no cap. */
  pace(bytesPerSecond: number | null, nowMs: number): void {
    if (bytesPerSecond !== this.#cap.bytesPerSecond) this.#cap.set(bytesPerSecond, nowMs);
  }

  /** ms until the cap lets the next chunk leave. */
  waitMs(nowMs: number): number {
    return this.#cap.readyAtMs(nowMs) - nowMs;
  }

  /** Notes that a chunk leaves, whether it waited or not. */
  sent(chunkBytes: number, nowMs: number): void {
    this.#cap.spend(this.#packetBytes(chunkBytes), nowMs);
  }

  /** @param bytesPerSecond what the path carries; null while unknown */
  chunkBytes(bytesPerSecond: number | null): number {
    const cap = this.#cap.bytesPerSecond;
    const rate = Math.min(bytesPerSecond ?? Infinity, cap ?? Infinity);
    const bytes = Number.isFinite(rate) ? Math.round(rate * CHUNK_MS / 1000) : 0;
    const leastBytes = cap === null ? CHUNK_BYTES_MIN : CAPPED_CHUNK_BYTES_MIN;
    return Math.min(TLS_CHUNK_BYTES_MAX, Math.max(leastBytes, bytes));
  }

  /** What a record costs on the wire, cut into chunks of this length. */
  recordPacketBytes(recordBytes: number, chunkBytes: number): number {
    const rest = recordBytes % chunkBytes;
    return Math.floor(recordBytes / chunkBytes) * this.#packetBytes(chunkBytes) +
      (rest > 0 ? this.#packetBytes(rest) : 0);
  }

  #packetBytes(chunkBytes: number): number {
    return tlsPacketBytes(CHUNK_HEADER_BYTES + chunkBytes, this.address);
  }
}
