import type { Forecasts } from "./forecast.ts";
import type { ForecastInput } from "./forecast_input.ts";

/** What the worker answers. */
export type Forecasted =
  | { readonly kind: "forecast"; readonly forecasts: Forecasts }
  | { readonly kind: "failed"; readonly message: string };

/**
 * Makes one forecast in a thread of its own: some dozen whole moves are run through, and moves that
 * are under way cannot wait for that. Dispose it: that ends the thread, whatever it is at.
 */
export class Forecaster implements Disposable {
  readonly #worker = new Worker(new URL("./forecast_worker.ts", import.meta.url), {
    type: "module",
    name: "forecast",
  });
  readonly #answered = Promise.withResolvers<Forecasted>();

  /** Starts the thread: its modules are loaded while the figures for it are gathered. */
  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Forecasted>) => this.#answered.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#answered.resolve({ kind: "failed", message: event.message });
    };
  }

  /** @throws what `signal` aborts with */
  async forecast(input: ForecastInput, signal: AbortSignal): Promise<Forecasts> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#worker.postMessage(input);
    try {
      const answer = await Promise.race([this.#answered.promise, aborted.promise]);
      if (answer.kind === "forecast") return answer.forecasts;
      throw new Error(`The forecast failed: ${answer.message}`);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
