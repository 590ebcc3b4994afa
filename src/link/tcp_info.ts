/** What TCP has counted of one connection. */
export interface TcpCounts {
  /** Payload bytes sent, those sent again included. */
  readonly sentBytes: number;
  readonly sentAgainBytes: number;
}

/** Offsets in `struct tcp_info` (<linux/tcp.h>, since Linux 4.19). */
const BYTES_SENT_AT = 200;
const BYTES_RETRANS_AT = 208;
/** Bytes of it that have to be there. */
export const TCP_INFO_BYTES = 216;

/** Reads what `getsockopt(TCP_INFO)` wrote; null of a kernel that does not count this. */
export function readTcpInfo(info: Uint8Array): TcpCounts | null {
  if (info.byteLength < TCP_INFO_BYTES) return null;
  const view = new DataView(info.buffer, info.byteOffset);
  const u64 = (at: number) => Number(view.getBigUint64(at, LITTLE_ENDIAN));
  return { sentBytes: u64(BYTES_SENT_AT), sentAgainBytes: u64(BYTES_RETRANS_AT) };
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** A share is of so many bytes at least: fewer say little. */
const SAMPLE_BYTES_MIN = 64 * 1024;
/** Of the share of late, what the next sample takes. */
const SMOOTHING = 1 / 4;

/**
 * Share of its bytes that TCP sends again: what the path loses, and a little of what was only late.
 * Pure.
 */
export class SentAgain {
  #last: TcpCounts | null = null;
  #ratio: number | null = null;

  /** Null before enough was sent. */
  get ratio(): number | null {
    return this.#ratio;
  }

  /** Takes in the totals of all connections. */
  take(counts: TcpCounts): void {
    const last = this.#last ??= counts;
    const sentBytes = counts.sentBytes - last.sentBytes;
    if (sentBytes < SAMPLE_BYTES_MIN) return;
    this.#last = counts;
    const ratio = Math.max(0, counts.sentAgainBytes - last.sentAgainBytes) / sentBytes;
    this.#ratio = this.#ratio === null ? ratio : this.#ratio + SMOOTHING * (ratio - this.#ratio);
  }
}
