import assert from "node:assert/strict";
import { exitCodeOf, readCounts, readDurations, sumCounts, summaryLine } from "./summary.ts";

Deno.test("readCounts() reads every form of the last summary line", () => {
  const cases: [output: string, exitCode: number, counts: [number, number, number]][] = [
    ["ok | 12 passed | 0 failed (2s)\n", 0, [12, 0, 0]],
    ["ok | 3 passed (7 steps) | 0 failed | 2 ignored (5ms)\n", 0, [3, 0, 2]],
    ["FAILED | 0 passed (1 step) | 2 failed (1 step) | 1 ignored (69ms)\n", 1, [0, 2, 1]],
    ["ok | 1 passed | 0 failed | 1 ignored (2 steps) | 4 filtered out (1s)\n", 0, [1, 0, 1]],
    ["\x1b[0m\x1b[32mok\x1b[0m | 5 passed | 0 failed \x1b[0m(1s)\x1b[0m\n", 0, [5, 0, 0]],
    // A test that prints such a line itself does not count; the last one is Deno's.
    ["ok | 99 passed | 9 failed\nok | 5 passed | 0 failed (1s)\n", 0, [5, 0, 0]],
    // Killed, out of memory, or failed for another reason than a test.
    ["", 137, [0, 1, 0]],
    ["ok | 5 passed | 0 failed (1s)\n", 1, [5, 1, 0]],
    ["", 0, [0, 0, 0]],
  ];
  for (const [output, exitCode, [passed, failed, skipped]] of cases) {
    assert.deepEqual(readCounts(output, exitCode), { passed, failed, skipped }, output);
  }
});

Deno.test("readDurations() sums the tests of a file and leaves steps out", () => {
  const junit = `<testsuites name="deno test">
    <testcase name="one" classname="./tests/a_test.ts" time="1.500" line="1" col="6">
    <testcase name="two" classname="./tests/a_test.ts" time="0.250" line="2" col="6">
    <testcase name="two &gt; step" classname="./tests/a_test.ts" time="0.200" line="2" col="9">
    <testcase name="three" classname="src/b_test.ts" time="0.010" line="1" col="6">`;
  assert.deepEqual(readDurations(junit), [
    { file: "tests/a_test.ts", seconds: 1.75 },
    { file: "src/b_test.ts", seconds: 0.01 },
  ]);
});

Deno.test("a run fails on a failure, and in CI on a skip", () => {
  const clean = { passed: 3, failed: 0, skipped: 0 };
  const skipping = { passed: 0, failed: 0, skipped: 2 };
  const failing = { passed: 1, failed: 1, skipped: 0 };
  assert.deepEqual([clean, skipping, failing].map((counts) => exitCodeOf(counts, false)), [
    0,
    0,
    1,
  ]);
  assert.deepEqual([clean, skipping, failing].map((counts) => exitCodeOf(counts, true)), [0, 1, 1]);
  assert.equal(
    summaryLine(sumCounts([clean, skipping, failing])),
    "4 passed, 1 failed, 2 skipped",
  );
  assert.equal(summaryLine(sumCounts([])), "0 passed, 0 failed, 0 skipped");
});
