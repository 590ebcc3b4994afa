import assert from "node:assert/strict";
import fc from "fast-check";
import { type MachineModel, machineModel, steadyPath } from "../../migration/control/model.ts";
import type { Strategy } from "../../migration/report.ts";
import { ENDS, type Ends, ends } from "./ends.ts";
import { forecast } from "./forecast.ts";
import type { ForecastInput } from "./forecast_input.ts";
import type { PlanStrategy } from "./report.ts";

const MIB = 1024 * 1024;
const MEGABYTE = 1_000_000;
/** Ms that a plain copy and everything around it are off by at most, as shares. */
const NEAR = 0.15;

const quiet = machineModel({ memoryBytes: 64 * MIB });
const busy = machineModel({
  memoryBytes: 64 * MIB,
  written: [{ bytes: 4 * MIB, bytesPerSecond: MEGABYTE }],
  disks: [{ id: "d", allocatedBytes: 16 * MIB, written: { bytes: 8 * MIB, bytesPerSecond: 2e5 } }],
});
/** Whatever a link of 20 Mbit/s carries, it writes more. */
const wild = machineModel({
  memoryBytes: 64 * MIB,
  written: [{ bytes: 24 * MIB, bytesPerSecond: 20 * MEGABYTE }],
});
/** It writes its disk, and little else. */
const log = machineModel({
  memoryBytes: 64 * MIB,
  disks: [{
    id: "d",
    allocatedBytes: 16 * MIB,
    written: { bytes: 64 * MIB, bytesPerSecond: 12 * MEGABYTE },
  }],
});

function input(machine: MachineModel, changes: Partial<ForecastInput> = {}): ForecastInput {
  const rates: Ends<number> = { low: 2.7e6, expected: 2.5e6, high: 2.2e6 };
  return {
    machine: ends(() => machine),
    path: ends((end) => steadyPath(rates[end], 80)),
    isCapped: false,
    strategy: null,
    maxDowntimeMs: 300,
    rate: null,
    whenOver: ["wait"],
    startWallMs: Date.UTC(2026, 0, 1),
    remarks: ["seen"],
    ...changes,
  };
}

const named = (strategies: readonly PlanStrategy[], remedy: string) =>
  strategies.find(({ whenOver }) => whenOver[0] === remedy)!;

const changed = (of: ReturnType<typeof forecast>, name: string) =>
  of.changes.find(({ change }) => change === name)!;

Deno.test("a quiet machine takes its bytes at the rate, and pauses for a hand-over", () => {
  const { strategies } = forecast(input(quiet));
  const [precopy, stopped] = strategies;
  assert.deepEqual(strategies.map(({ strategy }) => strategy), ["precopy", "stop-and-copy"]);
  const bytes = 64 * MIB * quiet.memoryWireRatio;
  const copyMs = bytes / 2.5e6 * 1000;
  const { low, expected, high } = precopy.totalMs!;
  assert.ok(low < expected! && expected! < high!, `${low} ${expected} ${high}`);
  assert.ok(Math.abs(expected! - copyMs) < NEAR * copyMs, `${expected} for ${copyMs}`);
  assert.ok(Math.abs(precopy.wireBytes!.expected! - bytes) < 0.05 * bytes);
  assert.ok(precopy.downtimeMs!.high! < 300);
  assert.equal(precopy.fits, true);
  assert.equal(stopped.fits, false);
  assert.ok(stopped.downtimeMs!.expected! > 0.9 * copyMs);
  assert.match(stopped.remarks.join("\n"), /stands still for the whole copy/);
  assert.ok(precopy.remarks.includes("seen"));
});

Deno.test("what would change a move is told with numbers", () => {
  const of = forecast(input(busy));
  const base = of.strategies[0].totalMs!.expected!;
  const twice = changed(of, "doubleRate");
  assert.ok(twice.totalMs! < 0.7 * base);
  assert.match(
    twice.text,
    /^twice the rate \(5\.0 MB\/s\): [\d.]+ s instead of \d+ s, .* MB, pausing/,
  );
  assert.ok(changed(of, "halfWrites").wireBytes! < of.strategies[0].wireBytes!.expected!);
  assert.ok(changed(of, "quietMachine").totalMs! < base);
  assert.ok(changed(of, "seeded").totalMs! < 0.3 * base);
});

Deno.test("of a capped path the cap is named as what to raise", () => {
  assert.match(
    changed(forecast(input(quiet, { isCapped: true })), "doubleRate").text,
    /cap raised/,
  );
});

Deno.test("a machine that writes too much does not end; remedies, a budget and a quiet time do", () => {
  const of = forecast(input(wild));
  const [precopy] = of.strategies;
  assert.deepEqual([precopy.totalMs, precopy.downtimeMs, precopy.fits], [null, null, false]);
  assert.equal(precopy.outcome.expected, "waiting");
  assert.match(precopy.reason, /does not shrink/);
  const slowed = named(of.strategies, "throttleCpu");
  assert.equal(slowed.outcome.expected, "switched");
  assert.ok(slowed.throttle.cpuShare! > 0);
  assert.match(changed(of, "throttleCpu").text, /processors slowed by \d+ %: would switch after/);
  const asking = named(of.strategies, "ask");
  assert.ok(asking.budgetMs > 300 && asking.fits === false);
  assert.match(asking.remarks.join("\n"), /are granted/);
  assert.match(
    changed(of, "largerBudget").text,
    /^a budget of \d+ ms instead of 300: would switch/,
  );
  assert.equal(changed(of, "quietMachine").outcome, "switched");
  assert.match(changed(of, "halfWrites").text, /does not end either/);
});

Deno.test("disk writes that do not fit are slowed to what the link carries", () => {
  const of = forecast(input(log));
  assert.equal(of.strategies[0].fits, false);
  const slowed = named(of.strategies, "throttleDisks");
  assert.equal(slowed.outcome.expected, "switched");
  assert.ok(slowed.throttle.diskBytesPerSecond! < 12 * MEGABYTE);
  assert.match(
    changed(of, "throttleDisks").text,
    /disk writes slowed to .*\/s: would switch after/,
  );
});

Deno.test("a remedy that is wished is part of the first forecast, and not tried again", () => {
  const { strategies } = forecast(input(wild, { whenOver: ["throttleCpu", "wait"] }));
  assert.equal(strategies[0].outcome.expected, "switched");
  assert.equal(strategies.filter(({ whenOver }) => whenOver.includes("throttleCpu")).length, 2);
  assert.equal(strategies.at(-1)!.strategy, "stop-and-copy");
});

Deno.test("a move that gives up ends without a pause", () => {
  const [precopy] = forecast(input(wild, { whenOver: ["giveUp"] })).strategies;
  assert.equal(precopy.outcome.expected, "gaveUp");
  assert.ok(precopy.totalMs!.expected! > 0);
  assert.equal(precopy.downtimeMs, null);
  assert.equal(precopy.fits, false);
});

Deno.test("one strategy alone can be asked for", () => {
  for (const strategy of ["stop-and-copy", "seed"] satisfies Strategy[]) {
    const { strategies, changes } = forecast(input(busy, { strategy }));
    assert.deepEqual(strategies.map((each) => each.strategy), [strategy]);
    assert.ok(changes.length > 0);
  }
  const { strategies: [seeding] } = forecast(input(wild, { strategy: "seed" }));
  assert.equal(seeding.outcome.high, "seeded");
  assert.equal(seeding.downtimeMs, null);
  assert.ok(seeding.totalMs!.expected! > 0);
});

Deno.test("a machine that stands still has no pause to keep short", () => {
  const { strategies: [precopy] } = forecast(input({ ...busy, isRunning: false }));
  assert.equal(precopy.fits, true);
  assert.equal(precopy.downtimeMs, null);
  assert.ok(precopy.totalMs!.expected! > 0);
});

Deno.test("forecasts are whole numbers in order, and the same for the same figures", () => {
  const memory = fc.integer({ min: 4, max: 256 });
  const rate = fc.integer({ min: 0, max: 8 });
  fc.assert(
    fc.property(memory, rate, (memoryMiB, megabytes) => {
      const machine = machineModel({
        memoryBytes: memoryMiB * MIB,
        written: [{ bytes: memoryMiB * MIB / 4, bytesPerSecond: megabytes * MEGABYTE }],
      });
      const of = forecast(input(machine));
      for (const { totalMs, wireBytes, downtimeMs } of of.strategies) {
        for (const range of [totalMs, wireBytes, downtimeMs]) {
          if (range === null) continue;
          const [low, expected, high] = ENDS.map((end) => range[end] ?? Infinity);
          assert.ok(Number.isSafeInteger(range.low));
          assert.ok(low <= expected && expected <= high, `${low} ${expected} ${high}`);
        }
      }
      assert.deepEqual(forecast(input(machine)), of);
    }),
    { numRuns: 4 },
  );
});
