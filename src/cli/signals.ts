/**
 * Aborts at the first of these signals; the second ends the process as usual. Dispose it to give
 * the signals back.
 */
export class StopSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal: () => void;

  constructor(private readonly names: readonly Deno.Signal[]) {
    this.#onSignal = () => {
      this[Symbol.dispose]();
      this.#controller.abort();
    };
    for (const name of names) Deno.addSignalListener(name, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const name of this.names) Deno.removeSignalListener(name, this.#onSignal);
  }
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
