import type { OpenBatch } from "../../codec/envelope.ts";
import type { Sealer } from "../../codec/sealer.ts";
import { Changes } from "../changes.ts";

/**
 * Batches on their way to a channel: packed beside each other, handed over one after the other in
 * the order in which they were put. After the first failure nothing more is handed over, so the
 * channel never gets a batch whose predecessor it did not.
 */
export class SealedQueue<T = void> {
  /** Before compression, of batches that were not handed over yet. */
  waitingBytes = 0;
  #count = 0;
  #tail = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;
  readonly #changes = new Changes();

  /**
   * @param deliver hands one payload over; resolves when the channel has room for another
   * @param drop told of what goes with a batch that will not be handed over
   */
  constructor(
    private readonly sealer: Sealer,
    private readonly deliver: (payload: Uint8Array, bodyBytes: number, beside: T) => Promise<void>,
    private readonly drop: (beside: T) => void = () => {},
  ) {}

  /**
   * Takes a batch, whose body is the caller's again afterwards. Bounded by who waits for `room`.
   *
   * @param beside what goes with it
   */
  put(batch: OpenBatch, beside: T): void {
    const bodyBytes = batch.body.byteLength;
    const sealed = this.sealer.seal(batch);
    // Told when its turn comes; until then it must not count as unhandled.
    sealed.catch(() => {});
    this.#count++;
    this.waitingBytes += bodyBytes;
    this.#tail = this.#tail.then(() => this.#handOver(sealed, bodyBytes, beside));
  }

  /** Nothing more is handed over. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#changes.notify();
  }

  /**
   * Resolves when fewer than `count` batches are under way.
   *
   * @throws what kept a batch from being packed or handed over
   */
  async room(count: number): Promise<void> {
    while (!this.hasRoom(count)) await this.#changes.next();
  }

  /** True when fewer than `count` batches are under way. Throws as `room` does. */
  hasRoom(count: number): boolean {
    if (this.#failure !== null) throw this.#failure.error;
    return this.#count < count;
  }

  /** Resolves when no batch that was put will be handed over any more; never rejects. */
  async idle(): Promise<void> {
    await this.#changes.until(() => this.#count === 0);
  }

  async #handOver(sealed: Promise<Uint8Array>, bodyBytes: number, beside: T): Promise<void> {
    let isDelivered = false;
    try {
      const payload = await sealed;
      this.waitingBytes -= bodyBytes;
      if (this.#failure !== null) return;
      isDelivered = true;
      await this.deliver(payload, bodyBytes, beside);
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      if (!isDelivered) this.drop(beside);
      this.#count--;
      this.#changes.notify();
    }
  }
}
