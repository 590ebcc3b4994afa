/**
 * Parameters by which `auto-converge` does what the gateway asks, and nothing of its own
 * (QEMU's migration/ram.c, the same from 5.1 to 10.0).
 *
 * QEMU compares, at most once a second and only where a pass ends (from 9.2 on also every 5 s, after
 * the first), what got dirty with what was sent. At the second time that it was more than `throttle-trigger-threshold`
 * percent, it takes `cpu-throttle-initial` percent of the processors' time, or, where it takes some
 * already, `cpu-throttle-increment` percent more, up to `max-cpu-throttle`. What was sent is what the
 * gateway has read, so the comparison says nothing about the machine:
 *
 * - Before the gateway asks, first level and ceiling are both 1 %, the least that QEMU can do.
 * - When it asks, both are the level asked for, the step reaches it from anywhere, and whatever gets
 *   dirty is enough.
 *
 * @param percent 0 for nothing, else 1 to 99
 */
export function cpuThrottleParameters(percent: number): Record<string, number | boolean> {
  const level = Math.max(1, percent);
  return {
    "throttle-trigger-threshold": percent === 0 ? 100 : 1,
    "cpu-throttle-initial": level,
    "cpu-throttle-increment": percent === 0 ? 1 : 99,
    "max-cpu-throttle": level,
    // On, it would take less than the step where less seems enough.
    "cpu-throttle-tailslow": false,
  };
}
