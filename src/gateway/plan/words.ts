/** For example `290 ms`, `4.3 s`, `41 s`, `12 min` or `3.5 h`. */
export function shownDuration(ms: number): string {
  if (ms < 995) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  return minutes < 119.5 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}
