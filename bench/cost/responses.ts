/** Between two questions. Each costs the gateway some 0.2 ms, well below 1 % of a core. */
const PAUSE_MS = 100;

/** How long somebody took to answer, and by how much this process itself was late meanwhile. */
export interface Responses {
  readonly responseMsMax: number;
  /** Timers of this process, which does nothing else: what other programs on the machine cost. */
  readonly ownDelayMsMax: number;
}

/** Asks again and again; an answer comes late while the event loop of who answers is blocked. */
export function watchResponses(ask: () => Promise<unknown>): { stop(): Promise<Responses> } {
  let isOver = false;
  const asking = (async () => {
    let [responseMsMax, ownDelayMsMax] = [0, 0];
    while (!isOver) {
      const askedMs = performance.now();
      await ask();
      const answeredMs = performance.now();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      responseMsMax = Math.max(responseMsMax, answeredMs - askedMs);
      ownDelayMsMax = Math.max(ownDelayMsMax, performance.now() - answeredMs - PAUSE_MS);
    }
    return { responseMsMax, ownDelayMsMax };
  })();
  asking.catch(() => {});
  return {
    stop() {
      isOver = true;
      return asking;
    },
  };
}
