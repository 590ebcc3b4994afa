/** One bidirectional QUIC stream with a byte that can be given back. */
export interface ByteStream {
  /** The next bytes, at least one; null at the end. */
  read(): Promise<Uint8Array | null>;
  /** Gives bytes back: the next read returns them first. */
  unread(bytes: Uint8Array): void;
  /** Resolves when the transport has taken the bytes; they may be reused then. */
  write(bytes: Uint8Array): Promise<void>;
}

export function quicStream(stream: Deno.QuicBidirectionalStream): ByteStream {
  const reader = stream.readable.getReader();
  const writer = stream.writable.getWriter();
  // Both reject when the connection dies; whoever waits for a read or write hears of it there.
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  writer.ready.catch(() => {});
  let given: Uint8Array | null = null;
  return {
    async read() {
      if (given) {
        const bytes = given;
        given = null;
        return bytes;
      }
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return null;
        if (value.length > 0) return value;
      }
    },
    unread(bytes) {
      if (bytes.length > 0) given = bytes;
    },
    write: (bytes) => writer.write(bytes),
  };
}

/**
 * Exactly `lengthBytes` bytes; what follows them is given back.
 *
 * @returns null when the stream ends before
 */
export async function readExactly(
  stream: ByteStream,
  lengthBytes: number,
): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(lengthBytes);
  for (let at = 0; at < lengthBytes;) {
    const part = await stream.read();
    if (part === null) return null;
    const used = part.subarray(0, lengthBytes - at);
    bytes.set(used, at);
    at += used.length;
    stream.unread(part.subarray(used.length));
  }
  return bytes;
}
