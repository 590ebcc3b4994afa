/**
 * Time as an argument: pure rooms take a `Clock`, the composition root gives the real one
 * (`src/host/system_clock.ts`), tests give a virtual one (`src/testing/virtual_clock.ts`).
 */
export interface Clock {
  /** Wall clock, ms since 1970 UTC. For people and reports only; it may jump. */
  wallMs(): number;
  /** Monotonic ms with a fraction; the only time that durations are computed from. */
  nowMs(): number;
  /**
   * Resolves after `ms` of monotonic time.
   *
   * @throws {DOMException} `AbortError` as soon as `signal` aborts
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** RFC 3339 UTC text of a wall-clock time, as every report and API answer gives it. */
export function timestamp(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
