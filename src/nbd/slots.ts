interface Waiter {
  resolve(): void;
  reject(cause: unknown): void;
}

/** A counting semaphore, first come first served, that can be closed for good. */
export class Slots {
  readonly #waiters: Waiter[] = [];
  #free: number;
  #closedBy: { cause: unknown } | null = null;

  constructor(count: number) {
    this.#free = count;
  }

  /** Rejects with the cause of `close`. */
  take(): Promise<void> {
    if (this.#closedBy) return Promise.reject(this.#closedBy.cause);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  release(): void {
    const next = this.#waiters.shift();
    if (next) next.resolve();
    else this.#free++;
  }

  /** Nobody gets in any more; who waits is turned away with `cause`. */
  close(cause: unknown): void {
    this.#closedBy ??= { cause };
    for (const waiter of this.#waiters.splice(0)) waiter.reject(cause);
  }
}
