import type { Clock } from "../core/clock.ts";

/** The machine's own clock. `sleep` rounds up to whole ms: Deno fires fractions early. */
export function systemClock(): Clock {
  return {
    wallMs: () => Date.now(),
    nowMs: () => performance.now(),
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(abortError());
        const onAbort = () => {
          clearTimeout(timer);
          reject(abortError());
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        }, Math.max(0, Math.ceil(ms)));
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    },
  };
}

function abortError(): DOMException {
  return new DOMException("The wait was aborted", "AbortError");
}
