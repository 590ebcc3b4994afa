import assert from "node:assert/strict";
import { parseDuration } from "./duration_text.ts";

Deno.test("parseDuration() reads a figure with its unit, and 0 without", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["0s", 0],
    ["250ms", 250],
    ["90s", 90_000],
    ["10min", 600_000],
    ["1.5h", 5_400_000],
    ["2D", 172_800_000],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  for (const text of ["", "5", "-5s", "5 s", "5m", "5constructor", "soon", "99999999999999999d"]) {
    assert.throws(() => parseDuration(text), RangeError, text);
  }
});
