import type { Clock } from "../../core/clock.ts";

/** A consumer that takes nothing for this long counts as away. */
export const AWAY_AFTER_MS = 2_000;
/** What is read for a consumer that is away; at QEMU's slowest, 1.3 MB/s, it lasts for 100 s. */
export const AHEAD_BYTES_MAX = 128 * 1024 * 1024;
const READ_BUFFER_BYTES = 512 * 1024;

/** What a `ReadAhead` needs beside its connection. */
export interface ReadAheadOptions {
  readonly clock: Clock;
  /** Told when the consumer goes away and when it comes back: the writer should be slow meanwhile. */
  readonly onAway: (isAway: boolean) => void;
  readonly bytesMax?: number;
}

/**
 * Reads a connection for a consumer that may be away for long, so that the writer never waits for
 * more than a moment.
 *
 * While the consumer is there nothing is read before it asks: not asking is its back-pressure. Once
 * it has not asked for `AWAY_AFTER_MS`, chunks are read and kept for it, until there are too many: then
 * the connection is closed, because a writer that must not wait can only fail.
 */
export class ReadAhead {
  readonly #buffers = [new Uint8Array(READ_BUFFER_BYTES), new Uint8Array(READ_BUFFER_BYTES)];
  /** The buffer with the chunk that the consumer works on, also while it is away. */
  #held: ArrayBufferLike | null = null;
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #reading: Promise<Uint8Array | null> | null = null;
  #isAway = false;
  #isStopped = false;
  #timer: AbortController | null = null;
  /** Too much was kept: the connection was closed for it. */
  gaveUp = false;

  constructor(
    private readonly conn: Pick<Deno.Conn, "read" | "close">,
    private readonly options: ReadAheadOptions,
  ) {}

  /** The next chunk, valid until the next call; null at the end, however it came. */
  async next(): Promise<Uint8Array | null> {
    this.#timer?.abort();
    if (this.#isAway) {
      this.#isAway = false;
      this.options.onAway(false);
    }
    const kept = this.#kept.shift();
    if (kept !== undefined) this.#keptBytes -= kept.length;
    const chunk = kept ?? await this.#take();
    this.#held = chunk?.buffer ?? null;
    if (chunk !== null) this.#watch();
    return chunk;
  }

  /** From now on nothing is read that was not asked for. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.abort();
    this.#isAway = false;
  }

  #watch(): void {
    if (this.#isStopped) return;
    const timer = this.#timer = new AbortController();
    this.options.clock.sleep(AWAY_AFTER_MS, timer.signal).then(() => this.#keep(), () => {});
  }

  async #keep(): Promise<void> {
    const { onAway, bytesMax = AHEAD_BYTES_MAX } = this.options;
    this.#isAway = true;
    onAway(true);
    while (this.#isAway) {
      const reading = this.#read();
      const chunk = await reading;
      // The consumer came back meanwhile: this chunk is what it waits for.
      if (!this.#isAway || this.#reading !== reading) return;
      if (chunk === null) return;
      this.#reading = null;
      this.#kept.push(chunk.slice());
      this.#keptBytes += chunk.length;
      if (this.#keptBytes <= bytesMax) continue;
      this.gaveUp = true;
      try {
        this.conn.close();
      } catch {
        // Closed before.
      }
    }
  }

  async #take(): Promise<Uint8Array | null> {
    const chunk = await this.#read();
    this.#reading = null;
    return chunk;
  }

  /** One read at a time; whoever takes its chunk forgets it. */
  #read(): Promise<Uint8Array | null> {
    const buffer = this.#buffers.find((each) => each.buffer !== this.#held)!;
    return this.#reading ??= this.conn.read(buffer).then(
      (count) => count === null ? null : buffer.subarray(0, count),
      () => null,
    );
  }
}
