/**
 * One reason to stop what an actor is doing, whoever finds it first: a cancel, a message of the
 * peer, a lost machine. Waits are raced against it, so none outlives it.
 */
export class Interrupt {
  readonly #rejection: Promise<never>;
  #reject!: (reason: unknown) => void;
  #reason: { readonly error: unknown } | null = null;
  readonly #controller = new AbortController();

  constructor() {
    this.#rejection = new Promise((_, reject) => this.#reject = reject);
    // Nobody may be waiting when it is raised.
    this.#rejection.catch(() => {});
  }

  get raised(): boolean {
    return this.#reason !== null;
  }

  /** For waits that take a signal; aborts when the interrupt is raised. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first reason counts. */
  raise(error: unknown): void {
    if (this.#reason) return;
    this.#reason = { error };
    this.#reject(error);
    this.#controller.abort();
  }

  /** Throws the reason where there is one: for loops between two waits. */
  check(): void {
    if (this.#reason) throw this.#reason.error;
  }

  /** `promise`, or the interrupt's reason if that comes first. */
  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {});
    return Promise.race([this.#rejection, promise]);
  }
}
