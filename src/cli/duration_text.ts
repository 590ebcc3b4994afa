const MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["min", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/**
 * Reads a time such as `90s`, `1.5h` or `0`.
 *
 * @returns whole ms
 * @throws {RangeError} with what is wrong with it, for people
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const [, figure, unit] = /^(\d+(?:\.\d+)?)([a-z]*)$/i.exec(text) ?? [];
  const ms = unit === undefined ? undefined : MS.get(unit.toLowerCase());
  if (ms === undefined) throw new RangeError("it is a figure with ms, s, min, h or d");
  const value = Math.round(Number(figure) * ms);
  if (!Number.isSafeInteger(value)) throw new RangeError("nobody waits that long");
  return value;
}
