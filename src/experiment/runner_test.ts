import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { cellsOf } from "./matrix.ts";
import type { Row } from "./row.ts";
import { readResults, RowStore } from "./row_store.ts";
import { type CellRunner, type Progress, runExperiment } from "./runner.ts";
import type { Scenario } from "./schema.ts";
import { CONTEXT, figuresOf, testScenario } from "./testing/rows.ts";

const SILENT: Progress = { begins() {}, ended() {}, skipped() {} };
/** Two links, two machines, two ways, three seeds. */
const CELLS_24 = testScenario({ matrix: { seeds: [1, 2, 3] } });

interface Run {
  readonly runCell?: CellRunner;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
  readonly clock?: VirtualClock;
}

async function run(directory: string, scenario: Scenario, options: Run = {}) {
  const clock = options.clock ?? new VirtualClock();
  using store = await RowStore.open(directory, scenario, "2024-01-01T00:00:00.000Z");
  return await runExperiment({
    scenario,
    store,
    runCell: options.runCell ?? ((cell) => Promise.resolve(figuresOf(cell))),
    context: () => Promise.resolve(CONTEXT),
    clock,
    progress: options.progress ?? SILENT,
    signal: options.signal ?? new AbortController().signal,
  });
}

async function rowsOf(directory: string): Promise<Row[]> {
  return (await readResults(directory)).rows;
}

async function inFolders(
  count: number,
  test: (...folders: string[]) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await test(...Array.from({ length: count }, (_, index) => `${root}/${index}`));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("24 cells interrupted and continued give the same rows as 24 that were not", () =>
  inFolders(2, async (whole, pieces) => {
    assert.equal(cellsOf(CELLS_24).length, 24);
    await run(whole, CELLS_24);
    // Interrupted within the 4th cell, then within the 11th, once with a row that is half written.
    for (const stopAt of [4, 7]) {
      const stop = new AbortController();
      let begun = 0;
      const outcome = await run(pieces, CELLS_24, {
        signal: stop.signal,
        runCell: (cell) => {
          if (++begun === stopAt) stop.abort();
          return Promise.resolve(figuresOf(cell));
        },
      });
      assert.equal(outcome.interrupted, true);
    }
    assert.equal((await rowsOf(pieces)).length, 3 + 6);
    await Deno.writeTextFile(`${pieces}/rows.jsonl`, '{"cell":"metro/ti', { append: true });
    const outcome = await run(pieces, CELLS_24);
    assert.deepEqual(outcome, { interrupted: false, cells: 24, failed: 0, skipped: 0 });
    assert.deepEqual(await rowsOf(pieces), await rowsOf(whole));
  }));

Deno.test("a cell that fails leaves a row that says why, and the others run", () =>
  inFolders(1, async (folder) => {
    const outcome = await run(folder, CELLS_24, {
      runCell: (cell) => {
        if (cell.index === 5) throw new Error("the machine did not boot");
        return Promise.resolve(figuresOf(cell));
      },
    });
    assert.equal(outcome.failed, 1);
    const rows = await rowsOf(folder);
    assert.equal(rows.length, 24);
    assert.equal(rows[5].state, "failed");
    assert.equal(rows[5].note, "the machine did not boot");
    assert.equal(rows[5].totalMs, null);
  }));

Deno.test("a cell that takes too long is told to stop, and has failed", () =>
  inFolders(1, async (folder) => {
    const clock = new VirtualClock();
    const scenario = testScenario({ stop: { cellSeconds: 10 }, matrix: { profiles: ["metro"] } });
    const hanging = Promise.withResolvers<void>();
    const running = run(folder, scenario, {
      clock,
      runCell: (cell, signal) => {
        if (cell.index !== 1) return Promise.resolve(figuresOf(cell));
        hanging.resolve();
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("told to")))
        );
      },
    });
    await hanging.promise;
    await clock.advance(10_000);
    assert.equal((await running).failed, 1);
    const rows = await rowsOf(folder);
    assert.equal(rows.length, 4);
    assert.match(rows[1].note!, /longer than 10 s/);
  }));

Deno.test("a folder with rows of another scenario is refused by name, and left as it is", () =>
  inFolders(1, async (folder) => {
    await run(folder, CELLS_24);
    const other = testScenario({ matrix: { seeds: [1, 2] } });
    await assert.rejects(() => run(folder, other), { code: "experiment_differs" });
    assert.equal((await rowsOf(folder)).length, 24);
  }));

Deno.test("a folder that somebody runs into is refused to everybody else, until that ends", () =>
  inFolders(1, async (folder) => {
    {
      using _open = await RowStore.open(folder, CELLS_24, "");
      await assert.rejects(() => run(folder, CELLS_24), { code: "experiment_running" });
    }
    await run(folder, CELLS_24);
    assert.equal((await rowsOf(folder)).length, 24);
  }));

Deno.test("failed cells that are dropped run once more, and nothing else does", () =>
  inFolders(1, async (folder) => {
    await run(folder, CELLS_24, {
      runCell: (cell) =>
        cell.index % 8 === 0 ? Promise.reject(new Error("busy")) : Promise.resolve(figuresOf(cell)),
    });
    {
      using store = await RowStore.open(folder, CELLS_24, "");
      await store.keep(({ state }) => state !== "failed");
    }
    const ran: number[] = [];
    await run(folder, CELLS_24, {
      runCell: (cell) => {
        ran.push(cell.index);
        return Promise.resolve(figuresOf(cell));
      },
    });
    assert.deepEqual(ran, [0, 8, 16]);
    assert.equal((await rowsOf(folder)).length, 24);
  }));

Deno.test("stop rules end an experiment after failures, after a time, and where runs agree", () =>
  inFolders(3, async (failures, minutes, settled) => {
    const failing = testScenario({ stop: { failuresMax: 2 } });
    const failed = await run(failures, failing, {
      runCell: () => Promise.reject(new Error("no")),
    });
    assert.deepEqual([failed.failed, failed.skipped], [2, 6]);

    const clock = new VirtualClock();
    const timed = testScenario({ stop: { minutes: 1 } });
    const late = await run(minutes, timed, {
      clock,
      runCell: async (cell) => {
        await clock.advance(25_000);
        return figuresOf(cell);
      },
    });
    assert.deepEqual([late.cells - late.skipped, late.skipped], [3, 5]);
    assert.equal((await rowsOf(minutes))[0].cellMs, 25_000);

    const agreeing = testScenario({
      matrix: { repetitions: 5 },
      stop: { settled: { repetitionsMin: 2, spreadRatio: 0.1 } },
    });
    const agreed = await run(settled, agreeing);
    assert.deepEqual([agreed.cells, agreed.skipped], [40, 24]);
  }));

Deno.test("progress tells the time left by what has run in the same place", () =>
  inFolders(1, async (folder) => {
    const clock = new VirtualClock();
    const left: (number | null)[] = [];
    const scenario = testScenario({ matrix: { repetitions: 2, profiles: ["metro"] } });
    await run(folder, scenario, {
      clock,
      progress: { ...SILENT, begins: (_cell, _done, _total, leftMs) => left.push(leftMs) },
      runCell: async (cell) => {
        await clock.advance(cell.strategy.name === "ours" ? 1_000 : 3_000);
        return figuresOf(cell);
      },
    });
    // 8 cells; before the 5th, two rounds of 4 s are known by group.
    assert.equal(left[0], null);
    assert.equal(left[4], 8_000);
    assert.equal(left[7], 3_000);
  }));
