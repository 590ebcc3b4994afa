const KIB = 1024;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 MiB`; three significant digits. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `87.3 Mbit/s`, `64.0 kbit/s`: links are sold in bits. */
export function formatRate(bytesPerSecond: number): string {
  const megabits = bytesPerSecond * 8 / 1e6;
  if (megabits > 0 && megabits < 0.1) return `${(megabits * 1e3).toFixed(1)} kbit/s`;
  return `${megabits >= 100 ? Math.round(megabits) : megabits.toFixed(1)} Mbit/s`;
}

/** `250 ms`, `12.3 s`, `4:05`, `1:02:03`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** Rows as aligned columns under their titles; numbers are given as text. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [titles, ...rows];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) =>
    line.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()
  );
}
