import type { Move } from "./move.ts";
import { TICK_MS } from "./steering.ts";

/** Waits for the next tick, or for something to change. */
export async function tickOf({ deps, interrupt, changes }: Move): Promise<void> {
  const waiting = new AbortController();
  const tick = deps.clock.sleep(TICK_MS, waiting.signal).catch(() => {});
  try {
    await interrupt.race(Promise.race([tick, changes.next()]));
  } finally {
    waiting.abort();
  }
}
