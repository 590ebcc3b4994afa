import assert from "node:assert/strict";
import { formatBytes, formatDuration, formatRate, table } from "./format.ts";

Deno.test("figures are shown with their unit and no more digits than matter", () => {
  const cases: [string, string][] = [
    [formatBytes(0), "0 B"],
    [formatBytes(1023), "1023 B"],
    [formatBytes(1024), "1.00 KiB"],
    [formatBytes(1.5 * 2 ** 20), "1.50 MiB"],
    [formatBytes(250 * 2 ** 20), "250 MiB"],
    [formatBytes(5000 * 2 ** 40), "5000 TiB"],
    [formatRate(0), "0.0 Mbit/s"],
    [formatRate(12_500_000), "100 Mbit/s"],
    [formatRate(12_500), "0.1 Mbit/s"],
    [formatRate(8_000), "64.0 kbit/s"],
    [formatRate(1), "0.0 kbit/s"],
    [formatRate(1_234_567), "9.9 Mbit/s"],
    [formatDuration(0), "0 ms"],
    [formatDuration(999.4), "999 ms"],
    [formatDuration(1_000), "1.0 s"],
    [formatDuration(59_949), "59.9 s"],
    [formatDuration(59_950), "1:00"],
    [formatDuration(3_599_000), "59:59"],
    [formatDuration(3_725_000), "1:02:05"],
  ];
  for (const [found, expected] of cases) assert.equal(found, expected);
});

Deno.test("table() aligns columns and leaves no trailing blanks", () => {
  assert.deepEqual(table(["A", "LONG"], [["abc", "d"], ["e", ""]]), ["A    LONG", "abc  d", "e"]);
});
