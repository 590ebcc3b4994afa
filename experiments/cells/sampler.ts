import type { Sample } from "../../src/experiment/row.ts";

/** Looks at a move again and again, from now on until it is disposed. */
export class Sampler implements AsyncDisposable {
  readonly samples: Sample[] = [];
  readonly #startMs = performance.now();
  readonly #ended = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #stopped = false;

  /** @param look one look; one that fails is left out: gateways may be dead at the time */
  constructor(
    private readonly intervalMs: number,
    private readonly look: () => Promise<Omit<Sample, "atMs">>,
  ) {
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#ended.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const atMs = Math.round(performance.now() - this.#startMs);
      const seen = await this.look().catch(() => null);
      if (seen !== null) this.samples.push({ atMs, ...seen });
      await Promise.race([pause(this.intervalMs), this.#ended.promise]);
    }
  }
}

/** Sleeps. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
