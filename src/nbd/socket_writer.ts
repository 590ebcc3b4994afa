/** Parts up to this size share one write call; larger ones are written from where they are. */
const GATHER_BYTES = 64 * 1024;

/**
 * The only writer of a socket: parts leave in the order they were sent, whole. Nothing is copied
 * at `send`, so a part must not change before it has left.
 */
export class SocketWriter {
  readonly #conn: Deno.Conn;
  readonly #onError: (cause: unknown) => void;
  readonly #gathered = new Uint8Array(GATHER_BYTES);
  #queue: Uint8Array[] = [];
  #failed = false;
  #writing: Promise<void> | null = null;

  /** @param onError called once; what was queued then is dropped */
  constructor(conn: Deno.Conn, onError: (cause: unknown) => void) {
    this.#conn = conn;
    this.#onError = onError;
  }

  /** @returns when this and all earlier parts have left, or the writer has failed */
  send(...parts: readonly Uint8Array[]): Promise<void> {
    if (!this.#failed) this.#queue.push(...parts);
    // Begun for nothing, it would have ended before it is known as the one that runs.
    if (this.#queue.length > 0) this.#writing ??= this.#run();
    return this.#writing ?? Promise.resolve();
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const parts = this.#queue;
        this.#queue = [];
        await this.#writeAll(parts);
      }
    } catch (cause) {
      this.#failed = true;
      this.#queue = [];
      this.#onError(cause);
    }
    this.#writing = null;
  }

  async #writeAll(parts: readonly Uint8Array[]): Promise<void> {
    let gatheredBytes = 0;
    for (const part of parts) {
      if (gatheredBytes + part.length > GATHER_BYTES) {
        await this.#write(this.#gathered.subarray(0, gatheredBytes));
        gatheredBytes = 0;
      }
      if (part.length > GATHER_BYTES) await this.#write(part);
      else {
        this.#gathered.set(part, gatheredBytes);
        gatheredBytes += part.length;
      }
    }
    await this.#write(this.#gathered.subarray(0, gatheredBytes));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }
}
