import { cpuUsage } from "node:process";
import type { Budget, CampaignResult } from "./campaign.ts";
import { SharedCase } from "./shared_case.ts";
import type { Job, JobAnswer } from "./worker.ts";

/** An input that computes for longer than this hangs; so does one that waits for longer than that. */
const COMPUTES_MS_MAX = 20_000;
const WAITS_MS_MAX = 120_000;
/** Until its first input a thread loads the modules of all parsers. */
const START_MS_MAX = 300_000;
const LOOK_MS = 250;

/** What a campaign needs beside its target. */
export interface WatchOptions {
  readonly kept: readonly Uint8Array[];
  readonly budget: Budget;
  readonly shrinks?: boolean;
  readonly computesMsMax?: number;
}

/**
 * Runs a campaign in a thread of its own. One that hangs, or whose thread dies of an error that nobody
 * caught, is ended, and the input that it was at is the finding.
 */
export class WatchedFuzzer {
  #worker: Worker | null = null;

  async run(
    name: string,
    { kept, budget, shrinks = false, computesMsMax = COMPUTES_MS_MAX }: WatchOptions,
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
    let seenAt = now();
    const timer = setInterval(() => {
      const { count } = shared;
      if (count !== seen) {
        seen = count;
        seenAt = now();
        return;
      }
      const waitedMs = now().ms - seenAt.ms;
      const computedMs = now().cpuMs - seenAt.cpuMs;
      const isHung = waitedMs > (count === 0 ? START_MS_MAX : WAITS_MS_MAX) ||
        count > 0 && computedMs > computesMsMax;
      if (!isHung) return;
      const detail = `no end after ${Math.round(waitedMs)} ms, ${Math.round(computedMs)} computed`;
      lost("hang", detail);
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

function now(): { ms: number; cpuMs: number } {
  const { user, system } = cpuUsage();
  return { ms: performance.now(), cpuMs: (user + system) / 1000 };
}

const NOTHING: Omit<CampaignResult, "name" | "executions" | "findings"> = {
  read: 0,
  refused: 0,
  seconds: 0,
  cpuSeconds: 0,
  ways: 0,
  novel: [],
  largestBufferBytes: 0,
  slowestMs: 0,
};
