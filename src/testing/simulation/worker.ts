/// <reference lib="deno.worker" />
import { type Batch, runBatch } from "./batch.ts";

// Stacks of errors that are part of the game cost a tenth of a run, and nobody reads them.
Error.stackTraceLimit = 0;

self.onmessage = async ({ data }: MessageEvent<Batch>) => {
  try {
    self.postMessage({ result: await runBatch(data) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
