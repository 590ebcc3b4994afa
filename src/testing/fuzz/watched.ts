import type { Budget, CampaignResult } from "./campaign.ts";
import { SharedCase } from "./shared_case.ts";
import type { Job, JobAnswer } from "./worker.ts";

/** An input that takes longer than this hangs. */
export const HANG_MS = 20_000;
const LOOK_MS = 500;

/** What a campaign needs beside its target. */
export interface WatchOptions {
  readonly kept: readonly Uint8Array[];
  readonly budget: Budget;
  readonly shrinks?: boolean;
  readonly hangMs?: number;
}

/**
 * Runs a campaign in a thread of its own. One that hangs, or whose thread dies of an error that nobody
 * caught, is ended, and the input that it was at is the finding.
 */
export class WatchedFuzzer {
  #worker: Worker | null = null;

  async run(
    name: string,
    { kept, budget, shrinks = false, hangMs = HANG_MS }: WatchOptions,
  ): Promise<CampaignResult> {
    const shared = new SharedCase();
    const worker = this.#worker ??= new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
    });
    const { promise, resolve, reject } = Promise.withResolvers<CampaignResult>();
    const lost = (kind: "hang" | "crash", detail: string) => {
      this.close();
      const input = shared.input();
      resolve({ ...NOTHING, name, executions: shared.count, findings: [{ kind, input, detail }] });
    };
    worker.onmessage = ({ data }: MessageEvent<JobAnswer>) => {
      if ("done" in data) resolve(data.done);
      else reject(new Error(data.failed));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      lost("crash", `nobody caught: ${event.message}`);
    };
    const job: Job = { name, memory: shared.memory, kept, budget, shrinks };
    worker.postMessage(job);
    let seen = -1;
    let seenAtMs = performance.now();
    const timer = setInterval(() => {
      const { count } = shared;
      const nowMs = performance.now();
      if (count !== seen) [seen, seenAtMs] = [count, nowMs];
      else if (nowMs - seenAtMs > hangMs) lost("hang", `no end within ${hangMs} ms`);
    }, LOOK_MS);
    try {
      return await promise;
    } finally {
      clearInterval(timer);
    }
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

const NOTHING: Omit<CampaignResult, "name" | "executions" | "findings"> = {
  read: 0,
  refused: 0,
  seconds: 0,
  ways: 0,
  novel: [],
  largestBufferBytes: 0,
  slowestMs: 0,
};
