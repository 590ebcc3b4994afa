import assert from "node:assert/strict";
import fc from "fast-check";
import { compareRows, comparisonLines } from "./compare.ts";
import { cellsOf } from "./matrix.ts";
import type { Row } from "./row.ts";
import { changeOf, spreadOf } from "./statistics.ts";
import { rowOf, testScenario } from "./testing/rows.ts";

const CELLS = cellsOf(testScenario({ matrix: { repetitions: 3 } }));

function rows(change: (row: Row) => Partial<Row> = () => ({})): Row[] {
  return CELLS.map((cell) => rowOf(cell)).map((row) => ({ ...row, ...change(row) }));
}

Deno.test("compareRows() of an experiment with itself finds nothing", () => {
  const { differences, settings, onlyBefore, onlyAfter } = compareRows(rows(), rows());
  assert.deepEqual([settings, onlyBefore, onlyAfter], [[], [], []]);
  assert.ok(differences.length > 0);
  assert.ok(differences.every(({ change }) => change === "same"));
});

Deno.test("compareRows() tells what moved beyond the spread, and what the runs were made of", () => {
  const slower = rows(({ strategy, totalMs }) => ({
    commit: "def",
    ...(strategy === "ours" ? { totalMs: totalMs! * 2 } : { totalMs: totalMs! + 1 }),
  }));
  const comparison = compareRows(rows(), slower);
  const changed = comparison.differences.filter(({ change }) => change !== "same");
  assert.deepEqual(
    changed.map(({ group, figure, change }) => [group.split("/").at(-1), figure, change]),
    Array(4).fill(["ours", "totalMs", "more"]),
  );
  assert.deepEqual(comparison.settings, [["commit", "abc", "def"]]);
  const text = comparisonLines(comparison).join("\n");
  assert.match(text, /commit: abc -> def/);
  assert.match(text, /4 figures changed beyond the spread/);
  assert.match(text, /totalMs: 3\d+ \[.*\] -> 6\d+ \[.*\] \(100\.0 %\), more/);
});

Deno.test("compareRows() says of single runs that they have no spread", () => {
  const single = rows().filter(({ repetition }) => repetition === 1);
  const { differences } = compareRows(single, rows());
  assert.ok(differences.every(({ change }) => change === "unknown"));
});

Deno.test("compareRows() names groups that only one side has", () => {
  const without = rows().filter(({ strategy }) => strategy !== "stock");
  assert.equal(compareRows(rows(), without).onlyBefore.length, 4);
  assert.equal(compareRows(without, rows()).onlyAfter.length, 4);
});

Deno.test("changeOf() calls less and more only what no run of the other side reached", () => {
  const values = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 6 });
  fc.assert(fc.property(values, values, (before, after) => {
    const change = changeOf(spreadOf(before), spreadOf(after));
    const expected = Math.max(...after) < Math.min(...before)
      ? "less"
      : Math.min(...after) > Math.max(...before)
      ? "more"
      : "same";
    assert.equal(change, expected);
  }));
});
