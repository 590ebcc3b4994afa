import assert from "node:assert/strict";
import { type MachineModel, machineModel, runMove, steadyPath } from "./model.ts";
import { wishes } from "./testing/measurements.ts";

const MB = 1e6;
const busy = (bytes: number, bytesPerSecond: number): Partial<MachineModel> => ({
  written: [{ bytes, bytesPerSecond }],
});

Deno.test("an idle machine takes one copy of its memory, and the pause of a hand-over", () => {
  const machine = machineModel({ memoryBytes: 200 * MB, memoryWireRatio: 0.5 });
  const move = runMove(machine, steadyPath(10 * MB, 100), wishes(), 1);
  assert.equal(move.end, "switched");
  assert.ok(move.totalMs > 10_000 && move.totalMs < 12_500, String(move.totalMs));
  assert.ok(Math.abs(move.wireBytes - 100 * MB) < 1 * MB, String(move.wireBytes));
  assert.ok(move.budgetedMs! > 70 && move.budgetedMs! < 140, String(move.budgetedMs));
  assert.equal(Math.round(move.downtimeMs! - move.budgetedMs!), 50);
});

Deno.test("disks are copied first, and what is written to them again and again costs again", () => {
  const disks = (bytesPerSecond: number) => [
    { id: "root", allocatedBytes: 100 * MB, written: { bytes: 20 * MB, bytesPerSecond } },
  ];
  const run = (rate: number) =>
    runMove(machineModel({ disks: disks(rate) }), steadyPath(10 * MB, 20), wishes(), 1);
  const idle = run(0);
  const written = run(2 * MB);
  assert.equal(idle.actions[0].kind, "startMemory");
  assert.ok(idle.actions[0].atMs > 5_000, "the disks' first round takes its time");
  assert.ok(written.wireBytes > idle.wireBytes + 5 * MB);
  assert.equal(written.end, "switched");
});

Deno.test("more writes take longer, up to a load that never fits", () => {
  const totals = [0, 2, 8].map((rate) => {
    const move = runMove(
      machineModel(busy(40 * MB, rate * MB)),
      steadyPath(5 * MB, 50),
      wishes(),
      1,
    );
    assert.equal(move.end, "switched", `${rate} MB/s`);
    return move.totalMs;
  });
  assert.ok(totals[0] < totals[1] && totals[1] < totals[2], totals.join());
  const never = runMove(machineModel(busy(100 * MB, 60 * MB)), steadyPath(5 * MB, 50), wishes(), 1);
  assert.equal(never.end, "waiting");
  assert.equal(never.convergence.verdict, "notConverging");
  assert.match(never.reason, /does not shrink/);
});

Deno.test("a cap and an outage make a move longer by what they take", () => {
  const machine = machineModel({ memoryBytes: 100 * MB, memoryWireRatio: 0.5 });
  const plain = runMove(machine, steadyPath(10 * MB, 20), wishes(), 1);
  const capped = runMove(machine, steadyPath(10 * MB, 20), wishes({ rate: 5 * MB }), 1);
  assert.ok(capped.totalMs > plain.totalMs + 4_000, `${capped.totalMs}, ${plain.totalMs}`);
  const [steady] = steadyPath(10 * MB, 20).segments;
  const dark = steadyPath(10 * MB, 20, {
    segments: [steady, { ...steady, fromMs: 2_000, isDark: true }, { ...steady, fromMs: 22_000 }],
  });
  const cut = runMove(machine, dark, wishes(), 1);
  assert.equal(cut.end, "switched");
  assert.ok(cut.totalMs >= plain.totalMs + 20_000, `${cut.totalMs}, ${plain.totalMs}`);
  assert.equal(cut.wireBytes, plain.wireBytes);
});

Deno.test("stop-and-copy is one long pause", () => {
  const machine = machineModel({ ...busy(40 * MB, 60 * MB), memoryBytes: 100 * MB });
  const move = runMove(machine, steadyPath(10 * MB, 20), wishes(), 1, {
    strategy: "stop-and-copy",
  });
  assert.equal(move.end, "switched");
  assert.ok(Math.abs(move.downtimeMs! - move.totalMs) < 500, `${move.downtimeMs} ${move.totalMs}`);
  assert.ok(move.wireBytes < 47 * MB, "nothing is sent twice");
});

Deno.test("a throttled machine converges, and the budget is kept", () => {
  const machine = machineModel(busy(40 * MB, 30 * MB));
  const remedies = wishes({ whenOver: ["throttleCpu", "giveUp"] });
  const move = runMove(machine, steadyPath(2.4 * MB, 100), remedies, 1);
  assert.equal(move.end, "switched");
  assert.ok(move.actions.some(({ kind }) => kind === "throttleCpu"));
  assert.ok(move.budgetedMs! <= 300, String(move.budgetedMs));
});

Deno.test("an answer to a question makes the pause as long as was asked for, not longer", () => {
  const machine = machineModel(busy(40 * MB, 30 * MB));
  const move = runMove(machine, steadyPath(2.4 * MB, 100), wishes({ whenOver: ["ask"] }), 1, {
    answer: { afterMs: 5_000, accept: true },
  });
  assert.equal(move.end, "switched");
  assert.ok(move.budgetMs > 300);
  assert.ok(move.budgetedMs! <= move.budgetMs && move.budgetedMs! > 300);
  const silence = runMove(machine, steadyPath(2.4 * MB, 100), wishes({ whenOver: ["ask"] }), 1);
  assert.equal(silence.end, "asked");
  assert.match(silence.reason, /waiting for an answer/);
});

Deno.test("a held move stays held until the word, and then takes its lead time", () => {
  // The disk's first round shows what the path carries.
  const machine = machineModel({
    memoryBytes: 100 * MB,
    disks: [{ id: "root", allocatedBytes: 60 * MB, written: { bytes: 0, bytesPerSecond: 0 } }],
  });
  const hold = wishes({ hold: true, holdMemoryMs: 0 });
  assert.equal(runMove(machine, steadyPath(10 * MB, 20), hold, 1).end, "held");
  const move = runMove(machine, steadyPath(10 * MB, 20), hold, 1, {
    changes: [{ atMs: 60_000, wishes: { switchNow: true } }],
  });
  assert.equal(move.end, "switched");
  assert.equal(move.isForced, false, "the budget is kept all the same");
  const start = move.actions.find(({ kind }) => kind === "startMemory")!;
  const tookMs = move.totalMs - start.atMs;
  assert.ok(
    Math.abs(tookMs - start.numbers.leadMs!) < 0.3 * tookMs,
    `${tookMs} ${start.numbers.leadMs}`,
  );
});

Deno.test("a switch into a wave of writes is undone at the gate, and comes in a quiet time", () => {
  // Quiet, and then everything is written at once: in some periods between decision and pause.
  let undone = 0;
  for (let periodMs = 1_100; periodMs < 3_000; periodMs += 20) {
    const machine = machineModel({
      ...busy(60 * MB, 2_000 * MB),
      memoryBytes: 80 * MB,
      phases: { periodMs, busyMs: 300 },
    });
    const move = runMove(machine, steadyPath(20 * MB, 20), wishes(), periodMs);
    assert.equal(move.end, "switched");
    // What the gate lets through, and a fifth of the work behind it.
    assert.ok(move.budgetedMs! <= 550 + 18, `period of ${periodMs} ms: ${move.budgetedMs}`);
    undone += move.undoneSwitches;
  }
  assert.ok(undone > 0, "none was caught by a wave");
});
