import assert from "node:assert/strict";
import fc from "fast-check";
import { sampleForecast, sampleQuestion, sampleReport } from "../http/testing/fake_service.ts";
import { MIGRATION_STATES } from "../migration/report.ts";
import { progressBar, progressLine, RateMeter, remainingBytes, summary } from "./progress.ts";

const half = sampleReport({
  progress: 0.5,
  etaMs: 12_300,
  memory: { totalBytes: 1, remainingBytes: 2 ** 20, dirtyBytesPerSecond: null },
  rounds: [{
    number: 2,
    kind: "memory",
    startedAt: "",
    sentBytes: 0,
    remainingBytes: null,
    durationMs: null,
  }],
});

Deno.test("the bar shows share, rate, round, remaining and time to go", () => {
  assert.equal(
    progressBar({ ...half, disks: [] }, 12_500_000, 100),
    "copying [###############---------------]  50 %  100 Mbit/s  round 2  1.00 MiB left  ETA 12.3 s",
  );
});

Deno.test("the bar fits any terminal, and shows no more progress than there is", () => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 2, max: 300 }),
    fc.constantFrom(...MIGRATION_STATES),
    (progress, columns, state) => {
      const bar = progressBar(sampleReport({ ...half, progress, state }), 1e9, columns);
      assert.ok(bar.length < columns, bar);
      const [, filled, rest] = /\[(#*)(-*)\]/.exec(bar) ?? ["", "", "-"];
      assert.ok(filled.length <= progress * (filled.length + rest.length) + 1e-9, bar);
    },
  ));
});

Deno.test("a line says the same, with the phase", () => {
  assert.equal(
    progressLine({ ...half, disks: [], phase: "copying memory" }, 1_250_000),
    "copying 50 %, 10.0 Mbit/s, round 2, 1.00 MiB left, ETA 12.3 s (copying memory)",
  );
  const unknown = sampleReport({
    etaMs: null,
    disks: [],
    memory: { totalBytes: 0, remainingBytes: null, dirtyBytesPerSecond: null },
  });
  assert.equal(progressLine(unknown, null), "copying 25 % (copying disks and memory)");
});

const over = sampleReport({
  ...half,
  disks: [],
  forecast: sampleForecast(),
  convergence: { verdict: "notConverging", reason: "it writes 9 MB/s of 2.5" },
  throttle: { diskBytesPerSecond: 200_000, cpuShare: 0.3 },
  leadMs: 42_000,
});

Deno.test("a line has the pause beside its budget, what is done about it, and the lead time", () => {
  assert.equal(
    progressLine({ ...over, phase: "copying memory" }, 1_250_000),
    "copying 50 %, 10.0 Mbit/s, round 2, 1.00 MiB left, ETA 12.3 s, pause 372 ms of 300 ms, " +
      "not converging, lead 42.0 s, its disks write 1.6 Mbit/s, its CPUs lose 30 % (copying memory)",
  );
  const fine = { ...over, convergence: { verdict: "converging" as const, reason: "it shrinks" } };
  assert.ok(!progressLine(fine, null).includes("converging"));
});

Deno.test("a terminal that is narrow keeps the pause and a question before anything else", () => {
  const asking = { ...over, question: sampleQuestion() };
  for (const columns of [200, 120, 80, 60]) {
    const bar = progressBar(asking, 1_250_000, columns);
    assert.match(bar, /^copying, ASKS \[[#-]+\] {2}50 % .*pause 372 ms of 300 ms/, String(columns));
    assert.equal(bar.includes("round 2"), columns === 200, bar);
  }
});

Deno.test("what remains is the sum of what is known of it", () => {
  assert.equal(remainingBytes(sampleReport()), 800);
  const disk = { ...sampleReport().disks[0], remainingBytes: null };
  assert.equal(remainingBytes(sampleReport({ disks: [disk] })), 750);
});

Deno.test("the rate is that of the last seconds", () => {
  const meter = new RateMeter();
  assert.equal(meter.add(0, 500), null);
  assert.equal(meter.add(1_000, 1_500), 1_000);
  for (let second = 2; second <= 10; second++) meter.add(second * 1_000, 1_500);
  assert.equal(meter.add(11_000, 1_500), 0);
  assert.equal(new RateMeter().add(5, 5), null);
});

Deno.test("every state has a summary that names the machine or the figures", () => {
  for (const state of MIGRATION_STATES) {
    const lines = summary(sampleReport({ state }));
    assert.ok(lines.length > 0 && lines.every((line) => line.length > 0), state);
  }
  assert.match(
    summary(sampleReport({ state: "completed", downtimeMs: 120 }))[0],
    /web is at east after 2\.0 s: downtime 120 ms \(budget 300 ms\)/,
  );
  assert.match(
    summary(sampleReport({ state: "completed", downtimeMs: 120, predictedDowntimeMs: 110 }))[0],
    /\(budget 300 ms, predicted 110 ms\)/,
  );
});
