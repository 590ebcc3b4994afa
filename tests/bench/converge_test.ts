import assert from "node:assert/strict";
import { LOADS } from "../../bench/converge/loads.ts";
import { convergeLines, type ConvergeRun, keptBudget } from "../../bench/converge/report.ts";
import { remedies } from "../../src/migration/control/wishes.ts";

const run: ConvergeRun = {
  load: "memory",
  contestant: "causeway, throttleCpu",
  seed: 1,
  hostLoad: 1,
  end: "converged",
  note: "",
  wireBytes: 90e6,
  totalMs: 41_000,
  writtenBytesPerSecond: 10e6,
  writtenMeanwhileBytesPerSecond: 7e6,
  observedDowntimeMs: 420,
  reportedDowntimeMs: 131,
  predictedDowntimeMs: 166,
  budgetMs: 300,
  roundTripMs: 80,
  noiseMs: 100,
  silences: [],
  cpuShare: 0.89,
  diskBytesPerSecond: null,
  decisions: [],
  verified: "verify ok",
};

Deno.test("a budget is kept up to one and a half round trips more, as clients see it", () => {
  assert(keptBudget(run));
  assert(!keptBudget({ ...run, observedDowntimeMs: 421 }));
  assert(!keptBudget({ ...run, observedDowntimeMs: null }), "it did not switch");
  assert(!keptBudget({ ...run, budgetMs: null }), "it had none");
});

Deno.test("the table tells who came to an end by itself, and by what", () => {
  const qemu = { ...run, contestant: "qemu-plain", end: "forced" as const, budgetMs: null };
  const gaveUp = { ...run, contestant: "causeway, giveUp", end: "ended" as const };
  const text = convergeLines([
    run,
    { ...run, cpuShare: 0.99 },
    { ...qemu, cpuShare: null },
    gaveUp,
  ]).join("\n");
  assert.match(text, /^causeway, throttleCpu +2 of 2 .* CPU 94 \(89-99\) %$/m);
  assert.match(text, /^qemu-plain +0 of 1 /m);
  assert.match(text, /^causeway, giveUp +gave up /m);
  assert.match(text, /as clients see it: 2 of 2$/);
});

Deno.test("each remedy of a load is a list that a move takes, and each load has QEMU beside it", () => {
  for (const { contestants } of LOADS) {
    assert(contestants.some((contestant) => "qemu" in contestant));
    for (const contestant of contestants) {
      if ("options" in contestant) remedies.parse(contestant.options.whenOver);
    }
  }
});
