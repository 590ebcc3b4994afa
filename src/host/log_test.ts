import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { eventLog, type LogOptions } from "./log.ts";
import { LINES_PER_PERIOD, PERIOD_MS } from "./log_repeats.ts";

const MOVE = "0123abcd-0000-4000-8000-000000000001";

function world(options: Partial<LogOptions> = {}) {
  const clock = new VirtualClock();
  const lines: string[] = [];
  return { clock, lines, ...eventLog({ clock, write: (line) => lines.push(line), ...options }) };
}

Deno.test("an event is one line with time, level, name, move and fields", () => {
  const { lines, log } = world();
  log("info", 'a "quoted"\nmessage', {
    event: "move.state",
    migration: MOVE,
    fields: { state: "copying", note: "two words", wireBytes: 12, code: null },
  });
  assert.deepEqual(lines, [
    `time=2024-01-01T00:00:00.000Z level=info event=move.state migration=${MOVE} ` +
    'message="a \\"quoted\\"\\nmessage" state=copying note="two words" wireBytes=12',
  ]);
});

Deno.test("as JSON a line has the same fields, and none of them hides what every line has", () => {
  const { lines, log } = world({ format: "json" });
  log("warn", "m", { event: "e", fields: { level: "fake", repeated: 9, peer: "b" } });
  assert.deepEqual(JSON.parse(lines[0]), {
    time: "2024-01-01T00:00:00.000Z",
    level: "warn",
    event: "e",
    message: "m",
    repeated: 9,
    peer: "b",
  });
});

Deno.test("the move and the code that a message begins with are fields of their own", () => {
  const { lines, log } = world();
  log("warn", `${MOVE}: guest_gone: it ended`);
  log("warn", "no move: it ended");
  assert.match(
    lines[0],
    new RegExp(` event=guest_gone migration=${MOVE} message="guest_gone: it ended"$`),
  );
  assert.match(lines[1], / event=note message="no move: it ended"$/);
});

Deno.test("what is below the level is not written", () => {
  const { lines, log } = world({ level: "warn" });
  for (const level of ["debug", "info", "warn", "error"] as const) log(level, level);
  assert.deepEqual(lines.map((line) => / level=(\w+) /.exec(line)?.[1]), ["warn", "error"]);
});

Deno.test("a flood of one event for an hour is a line a minute, and every event is counted", async () => {
  const { lines, log, flush, clock } = world();
  const events = 3_600;
  for (let at = 0; at < events; at++) {
    log("warn", `no answer within ${at} ms`, { event: "link.refused", fields: { peer: "b" } });
    await clock.advance(1_000);
  }
  flush();
  assert.ok(lines.length <= LINES_PER_PERIOD + events * 1_000 / PERIOD_MS + 1, `${lines.length}`);
  const counted = lines.map((line) => Number(/ repeated=(\d+)/.exec(line)?.[1] ?? 1));
  assert.equal(counted.reduce((sum, count) => sum + count, 0), events);
});

Deno.test("beside a flood, other events and other moves are written at once", () => {
  const { lines, log } = world();
  for (let at = 0; at < 100; at++) log("warn", "cannot give it back yet", { migration: MOVE });
  log("warn", "cannot give it back yet", { migration: MOVE.replace(/1$/, "2") });
  log("warn", "something else", { migration: MOVE });
  assert.equal(lines.length, LINES_PER_PERIOD + 2);
});
