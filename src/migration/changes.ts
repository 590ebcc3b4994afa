/** Wakes waiters whenever something changed; conditions are checked again by their owners. */
export class Changes {
  #waiters: (() => void)[] = [];

  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves at the next `notify`. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Resolves as soon as `condition` holds; checked now and after each `notify`. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.next();
  }
}
