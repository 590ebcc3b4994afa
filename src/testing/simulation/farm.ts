import { type Batch, type BatchResult, joined, NOTHING } from "./batch.ts";

const SEEDS_AT_ONCE = 20;
/** Where the first broken rule ends everything, the others' batches are for nothing. */
const SEEDS_AT_ONCE_TO_FIRST = 4;

/** What a farm is told to run. */
export interface FarmOptions extends Omit<Batch, "count"> {
  readonly seeds: number;
  /** Hears each batch as it ends. */
  readonly onBatch?: (result: BatchResult) => void;
}

/**
 * Runs seeds on several threads. They share nothing, so the results are those of one thread. What
 * starts a thread costs as much as twenty seeds: whoever runs several lots keeps them.
 */
export class Farm implements Disposable {
  readonly #workers: readonly Worker[];

  constructor(workers: number) {
    const url = new URL("./worker.ts", import.meta.url).href;
    this.#workers = Array.from({ length: workers }, () => new Worker(url, { type: "module" }));
  }

  /** One lot at a time. */
  async run({ firstSeed, seeds, onBatch, ...rest }: FarmOptions): Promise<BatchResult> {
    let next = firstSeed;
    let sum = NOTHING;
    const end = firstSeed + seeds;
    const atOnce = rest.stopsAtFirst ? SEEDS_AT_ONCE_TO_FIRST : SEEDS_AT_ONCE;
    const work = async (worker: Worker) => {
      while (next < end) {
        if (rest.stopsAtFirst && sum.broken.length > 0) return;
        const batch: Batch = { ...rest, firstSeed: next, count: Math.min(atOnce, end - next) };
        next += batch.count;
        const result = await ask(worker, batch);
        sum = joined(sum, result);
        onBatch?.(result);
      }
    };
    await Promise.all(this.#workers.map(work));
    return sum;
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

function ask(worker: Worker, batch: Batch): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<{ result?: BatchResult; error?: string }>) => {
      if (data.result) resolve(data.result);
      else reject(new Error(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`seeds ${batch.firstSeed} and after: ${event.message}`));
    };
    worker.postMessage(batch);
  });
}
