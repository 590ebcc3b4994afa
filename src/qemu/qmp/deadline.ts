import type { Clock } from "../../core/clock.ts";

/**
 * Waits for `promise`, but no longer than `ms`.
 *
 * @param late builds the error that is thrown when the time is over
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
  late: () => Error,
): Promise<T> {
  const timer = new AbortController();
  const tooLate = clock.sleep(ms, timer.signal).then(
    () => {
      throw late();
    },
    // Aborted: the promise won the race, and nobody waits for this side any more.
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    timer.abort();
  }
}
