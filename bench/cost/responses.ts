/** Between two questions. Each costs the gateway some 0.2 ms, well below 1 % of a core. */
const PAUSE_MS = 100;

/** Asks again and again; an answer comes late while the event loop of who answers is blocked. */
export function watchResponses(
  ask: () => Promise<unknown>,
): { /** The longest wait in ms. */ stop(): Promise<number> } {
  let isOver = false;
  const asking = (async () => {
    let maxMs = 0;
    while (!isOver) {
      const askedMs = performance.now();
      await ask();
      maxMs = Math.max(maxMs, performance.now() - askedMs);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return maxMs;
  })();
  asking.catch(() => {});
  return {
    stop() {
      isOver = true;
      return asking;
    },
  };
}
