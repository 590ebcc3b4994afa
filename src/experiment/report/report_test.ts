import assert from "node:assert/strict";
import { cellsOf } from "../matrix.ts";
import { limitOf } from "../limit.ts";
import { draw } from "../plots/draw.ts";
import type { Row } from "../row.ts";
import { judge } from "../targets.ts";
import { rowOf, testScenario } from "../testing/rows.ts";
import { csvOf } from "./csv.ts";
import { markdownReport } from "./markdown.ts";
import { plotsOf } from "./plots.ts";
import { peakBitsPerSecond, phasesOf, ratesOf } from "./series.ts";

const SCENARIO = testScenario({ matrix: { repetitions: 2 } });
const ROWS = cellsOf(SCENARIO).map((cell) => rowOf(cell));

Deno.test("csvOf() gives each row a line, and quotes what would break it", () => {
  const [first] = ROWS;
  const text = csvOf([{ ...first, note: 'said "no", twice\nat least', noiseMs: null }]);
  const lines = text.split("\r\n");
  assert.equal(lines.length, 3);
  assert.match(lines[0], /^cell,profile,guest,workload,strategy,faults,seed,repetition,state,/);
  assert.match(lines[1], /,completed,"said ""no"", twice\nat least",\d+,101,111,,/);
});

Deno.test("the report has a line for each group, what failed, and where it was measured", () => {
  const failed: Row = { ...ROWS[0], state: "failed", note: "QEMU | ended" };
  const text = markdownReport({
    scenario: SCENARIO,
    rows: [failed, ...ROWS.slice(1)],
    plots: plotsOf(ROWS),
  });
  assert.match(text, /^# test\n/);
  assert.match(text, /16 of 16 cells have run, 1 of them failed\./);
  assert.match(text, /^\| metro \| tiny \| default \| none \| ours \| 1 of 2 \| /m);
  assert.match(text, /^\| slow \| big \| default \| none \| stock \| 2 of 2 \| 33\.0 \|/m);
  assert.match(
    text,
    /\| `metro\/tiny\/default\/none\/ours\/s1\/r1` \| failed \| QEMU \\\| ended \|/,
  );
  assert.match(text, /^\| commit \| "abc" \|/m);
  assert.match(text, /!\[Total time\]\(plots\/total\.svg\)/);
});

Deno.test("published figures stand beside ours, or say that there is nothing to compare", () => {
  const scenario = testScenario({
    source: "Somebody, 2001",
    published: [
      {
        what: "their downtime",
        value: 60,
        unit: "ms",
        metric: "observedDowntimeMs",
        of: { profile: "slow", strategy: "ours" },
        where: "abstract",
      },
      { what: "their saving", value: 20, unit: "%", where: "table 1" },
      {
        what: "their ratio",
        value: 0.5,
        unit: "times",
        metric: "totalMs",
        of: { strategy: "ours", guest: "tiny", profile: "slow" },
        per: { strategy: "stock" },
        where: "figure 2",
      },
    ],
    comparable: ["The rate."],
    notComparable: ["The hypervisor."],
  });
  const rows = cellsOf(scenario).map((cell) => rowOf(cell));
  const text = markdownReport({ scenario, rows, plots: [] });
  assert.match(text, /After: Somebody, 2001/);
  assert.match(
    text,
    /\| their downtime \| 60 ms \| abstract \| slow\/tiny\/default\/none\/ours: 111\.0 ms/,
  );
  assert.match(text, /\| their ratio \| .* \| slow\/tiny\/default\/none: 0\.97 of the medians \|/);
  assert.match(text, /\| their saving \| 20 % \| table 1 \| nothing to compare \|/);
  assert.match(text, /## What is not\n\n- The hypervisor\./);
});

Deno.test("every plot of a report draws as an SVG with its title", async () => {
  const plots = plotsOf(ROWS);
  const kinds = ["total", "downtime", "bytes", "blackouts", "throughput", "rates", "remaining"];
  for (const kind of kinds) {
    assert.ok(plots.some(({ file }) => file.startsWith(`plots/${kind}`)), kind);
  }
  assert.equal(new Set(plots.map(({ file }) => file)).size, plots.length);
  const folder = await Deno.makeTempDir();
  try {
    const some = plots.slice(0, 7).map(({ spec, title }, index) => ({
      path: `${folder}/${index}.svg`,
      spec,
      title,
    }));
    assert.equal(await draw(folder, some), null);
    for (const { path, title } of some) {
      const svg = await Deno.readTextFile(path);
      assert.match(svg, /^<svg /);
      assert.ok(svg.includes(title), title);
      assert.doesNotMatch(svg, /NaN|undefined/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("plots that cannot be drawn are told with the reason", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const why = await draw(folder, [{ path: `${folder}/x.svg`, spec: { mark: "none of ours" } }]);
    assert.match(why!, /^error: /);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("no rows make no plots, and a report all the same", () => {
  assert.deepEqual(plotsOf([]), []);
  assert.match(
    markdownReport({ scenario: SCENARIO, rows: [], plots: [] }),
    /0 of 16 cells have run\./,
  );
});

Deno.test("samples become stretches of phases and rates between two looks", () => {
  const { samples } = ROWS[0];
  assert.deepEqual(phasesOf(samples), [
    { phase: "copying", fromSeconds: 0, toSeconds: 1 },
    { phase: "switching", fromSeconds: 1, toSeconds: 1.1 },
  ]);
  assert.deepEqual(ratesOf(samples)[0], {
    atSeconds: 0.5,
    sentMbit: 6.4,
    dirtyMbit: 0.8,
    remainingMB: 5,
  });
  assert.equal(peakBitsPerSecond(samples), 8_000_000);
  assert.equal(peakBitsPerSecond([]), null);
});

Deno.test("limitOf() is 1.04 of the packed content over the rate and 1.5 round trips", () => {
  const packed = { memoryBytes: 9_000_000, diskBytes: 1_000_000 };
  const { ms } = limitOf(packed, { rateBitsPerSecond: 8e6, roundTripMs: 80 });
  assert.equal(ms, 10_400 + 120);
});

Deno.test("judge() takes the larger of 0.6 of the best that QEMU ended alone and 1.25 of the limit", () => {
  const scenario = testScenario({
    matrix: {
      profiles: ["metro"],
      guests: [{ name: "tiny", kind: "qemu", memoryMiB: 128, diskMiB: 8 }],
      strategies: [
        { name: "ours", way: "causeway" },
        { name: "stock", way: "qemu" },
        { name: "bbr", way: "qemu", congestion: "bbr" },
      ],
    },
  });
  const judged = (changes: Record<string, Partial<Row>>) =>
    judge(
      scenario,
      cellsOf(scenario).map((cell) =>
        rowOf(cell, { totalMs: 1000, stopAndLoadMs: 100, ...changes[cell.strategy.name] })
      ),
    )[0];
  const base = judged({ stock: { totalMs: 3000 }, bbr: { totalMs: 2000 } });
  assert.deepEqual(base.bestStock, { strategy: "bbr", totalMs: 2000 });
  // 0.6 of 2000 is more than 1.25 of 900.
  assert.equal(base.targetMs, 1200);
  assert.equal(base.timeMet, true);
  assert.equal(base.downtimeTargetMs, 306);
  assert.equal(base.downtimeMet, true);
  assert.equal(judged({ bbr: { totalMs: 1500 } }).targetMs, 1125);
  // What had to be stopped by force is no setting that comes to its end.
  const forced = judged({ bbr: { totalMs: 2000, state: "forced" }, stock: { totalMs: 3000 } });
  assert.equal(forced.bestStock?.strategy, "stock");
  assert.equal(judged({ ours: { totalMs: 5000 } }).timeMet, false);
  assert.equal(judged({ ours: { state: "failed" } }).timeMet, false);
  assert.equal(judged({ ours: { observedDowntimeMs: 307 } }).downtimeMet, false);
  // Where QEMU itself cannot stop and load it faster, nothing is asked.
  const slow = {
    ours: { stopAndLoadMs: 200 },
    stock: { stopAndLoadMs: 200 },
    bbr: { stopAndLoadMs: 200 },
  };
  assert.equal(judged(slow).downtimeMet, null);
});
