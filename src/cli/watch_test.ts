import assert from "node:assert/strict";
import { sampleQuestion, sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport } from "../migration/report.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import type { ServerEvent } from "./sse_reader.ts";
import type { Terminal } from "./terminal.ts";
import { watch } from "./watch.ts";

function terminal(redraws: boolean) {
  const lines: string[] = [];
  const bars: string[] = [];
  const notes: string[] = [];
  const value: Terminal = {
    print: (line) => lines.push(line),
    note: (line) => notes.push(line),
    redraw: redraws ? (text) => bars.push(text) : null,
    columns: () => 80,
  };
  return { lines, bars, notes, value };
}

/** Reports some time apart. */
function source(clock: VirtualClock, steps: [number, Partial<MigrationReport>][]) {
  return {
    async *events(): AsyncGenerator<ServerEvent> {
      for (const [afterMs, changes] of steps) {
        await clock.sleep(afterMs);
        yield { name: "report", data: JSON.stringify(sampleReport(changes)) };
      }
    },
  };
}

async function watched(
  steps: [number, Partial<MigrationReport>][],
  { redraws = false, quiet = false }: { redraws?: boolean; quiet?: boolean } = {},
) {
  const clock = new VirtualClock();
  const screen = terminal(redraws);
  const phases: string[] = [];
  const watching = watch(source(clock, steps), "m-1", {
    clock,
    terminal: screen.value,
    quiet,
    onPhase: (phase) => phases.push(phase),
    stop: new AbortController().signal,
  });
  await clock.advance(60_000);
  return { ...screen, phases, report: await watching };
}

const done: [number, Partial<MigrationReport>] = [10, { state: "completed", downtimeMs: 9 }];

Deno.test("where nothing can be redrawn, lines come once a second and with each change", async () => {
  const steady: [number, Partial<MigrationReport>][] = Array(30).fill([100, {}]);
  const { lines, report } = await watched([...steady, [10, { phase: "other" }], done]);
  const copying = lines.filter((line) => /^copying .*\(copying disks/.test(line));
  assert.equal(copying.length, 3);
  assert.equal(lines.filter((line) => line.includes("(other)")).length, 1);
  assert.match(lines.at(-1)!, /^web is at east/);
  assert.equal(report?.state, "completed");
});

Deno.test("on a terminal one bar is redrawn, and only the summary is a line", async () => {
  const { lines, bars } = await watched([[0, {}], [50, {}], [60, {}], done], { redraws: true });
  assert.equal(bars.length, 3);
  assert.equal(lines.length, 1);
});

Deno.test("a quiet watch prints nothing and returns the report", async () => {
  const { lines, report } = await watched([[0, {}], done], { quiet: true });
  assert.deepEqual(lines, []);
  assert.equal(report?.downtimeMs, 9);
});

Deno.test("a question is told once, on a terminal, in a log and to who watches for a program", async () => {
  const asking = { question: sampleQuestion() };
  const later = { question: sampleQuestion({ wantedDowntimeMs: 1_000 }) };
  const again = { question: sampleQuestion({ askedAt: "2026-01-02T03:14:06.000Z" }) };
  const steps: [number, Partial<MigrationReport>][] = [
    [0, {}],
    [50, asking],
    [50, later],
    [50, {}],
    [50, again],
    done,
  ];
  const shapes: { redraws?: boolean; quiet?: boolean }[] = [{ redraws: true }, {}, { quiet: true }];
  for (const shape of shapes) {
    const { lines, notes } = await watched(steps, shape);
    const told = (shape.quiet ? notes : lines).filter((line) =>
      line.startsWith("QUESTION: May web")
    );
    assert.equal(told.length, 2, JSON.stringify({ shape, lines, notes }));
  }
});

Deno.test("each phase is told once, whatever figures it names", async () => {
  const { phases } = await watched([
    [0, { phase: "copying memory" }],
    [9, { phase: "copying memory: the pause would take 9 ms" }],
    [9, { phase: "copying memory: the pause would take 8 ms" }],
    [9, { phase: "pausing the machine", state: "completed" }],
  ]);
  assert.deepEqual(phases, ["copying memory", "pausing the machine"]);
});
