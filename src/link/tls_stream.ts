import type { TLSSocket } from "node:tls";
import type { ByteStream } from "./quic_stream.ts";

/**
 * Bytes that arrived and were not read, at most. The runtime's TLS sockets go on reading however
 * often they are paused, so what bounds this memory is the window that the peer's sender keeps;
 * one that does not keep it is cut off here.
 */
export const UNREAD_BYTES_MAX = 32 * 1024 * 1024;
/**
 * The same before the peer has proved who it is: it may send a window's worth of records right after
 * its proof, and does not wait until that was verified.
 */
export const UNREAD_BYTES_UNPROVEN = 512 * 1024;

/** A TLS connection as the handshake and a lane use it. */
export interface TlsStream extends ByteStream {
  readonly socket: TLSSocket;
  /** Bytes that have arrived and were not read. */
  readonly unreadBytes: number;
  /** Ends the socket with an error once more than so much waits to be read. */
  unreadBytesMax: number;
  /** Resolves (never rejects) with why, once the socket is gone. */
  readonly closed: Promise<string>;
  /** Sends what is queued and the end of the connection, then closes it. */
  end(): void;
  /** Closes at once; the system drops what it still has to send. */
  abort(reason: string): void;
}

/** Takes a connected socket over; nobody else may read from it. */
export function tlsStream(socket: TLSSocket): TlsStream {
  let queue: Uint8Array[] = [];
  let unreadBytes = 0;
  let error: Error | null = null;
  let isEnded = false;
  let wake = () => {};
  const closed = Promise.withResolvers<string>();

  socket.on("data", (bytes: Uint8Array) => {
    queue.push(bytes);
    unreadBytes += bytes.length;
    if (unreadBytes > stream.unreadBytesMax) {
      stream.abort(`${unreadBytes} bytes of it wait to be read`);
    }
    wake();
  });
  socket.on("end", () => {
    isEnded = true;
    wake();
  });
  socket.on("error", (thrown: Error) => {
    error ??= thrown;
    wake();
  });
  socket.on("close", () => {
    isEnded = true;
    closed.resolve(error?.message ?? "the peer closed the connection");
    wake();
  });

  const stream: TlsStream = {
    socket,
    get unreadBytes() {
      return unreadBytes;
    },
    unreadBytesMax: UNREAD_BYTES_UNPROVEN,
    closed: closed.promise,
    async read() {
      for (;;) {
        const bytes = queue.shift();
        if (bytes !== undefined) {
          unreadBytes -= bytes.length;
          return bytes;
        }
        if (error !== null) throw error;
        if (isEnded) return null;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    unread(bytes) {
      if (bytes.length === 0) return;
      queue.unshift(bytes);
      unreadBytes += bytes.length;
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (error !== null) return reject(error);
        socket.write(bytes, (failure) => failure ? reject(failure) : resolve());
      }),
    end() {
      socket.destroySoon();
    },
    abort(reason) {
      error ??= new Error(reason);
      queue = [];
      unreadBytes = 0;
      socket.resetAndDestroy();
      wake();
    },
  };
  return stream;
}
