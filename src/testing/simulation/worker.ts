/// <reference lib="deno.worker" />
import { type Batch, runBatch } from "./batch.ts";

// Stacks of errors that are part of the game cost a tenth of a run, and nobody reads them.
Error.stackTraceLimit = 0;
// Nor the reason of an abort, which is made anew each time.
const reason = new DOMException("The operation was aborted", "AbortError");
const abort = AbortController.prototype.abort;
AbortController.prototype.abort = function (given: unknown = reason) {
  abort.call(this, given);
};

self.onmessage = async ({ data }: MessageEvent<Batch>) => {
  try {
    self.postMessage({ result: await runBatch(data) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
