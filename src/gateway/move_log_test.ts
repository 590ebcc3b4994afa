import assert from "node:assert/strict";
import type { LogContext } from "../host/log.ts";
import { sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport } from "../migration/report.ts";
import { MoveLog } from "./move_log.ts";

function world() {
  const said: [level: string, message: string, context: LogContext][] = [];
  const log = new MoveLog((level, message, context = {}) => said.push([level, message, context]));
  const events = () => said.map(([level, , { event }]) => `${level} ${event}`);
  return { said, log, events };
}

const round = (number: number, durationMs: number | null): MigrationReport["rounds"][number] => ({
  number,
  kind: "disk",
  startedAt: "2024-01-01T00:00:00Z",
  sentBytes: 1_000,
  remainingBytes: 10,
  durationMs,
});

Deno.test("a move's states, ended rounds and decisions are one event each, however often reported", () => {
  const { said, log, events } = world();
  const empty = { rounds: [], decisions: [] };
  for (let times = 0; times < 3; times++) log.add(sampleReport({ ...empty, state: "preparing" }));
  const decisions = [{ at: "2024-01-01T00:00:00Z", action: "a", reason: "because", numbers: {} }];
  for (let times = 0; times < 3; times++) {
    log.add(sampleReport({ rounds: [round(1, 500), round(2, null)], decisions, state: "copying" }));
  }
  log.add(sampleReport({ rounds: [round(1, 500), round(2, 9)], decisions, state: "completed" }));
  log.add(sampleReport({ rounds: [round(1, 500), round(2, 9)], decisions, state: "completed" }));
  assert.deepEqual(events(), [
    "info move.state",
    "info move.decision",
    "info move.round",
    "info move.state",
    "info move.round",
    "info move.state",
  ]);
  assert.ok(said.every(([, , { migration }]) => migration === "m-1"));
  assert.equal(said[2][2].fields?.goodputBytesPerSecond, 2_000);
});

Deno.test("what went wrong is said with its code, and a conflict is an error", () => {
  const { said, log } = world();
  const error = { code: "guest_gone", message: "it ended", hint: "" };
  log.add(sampleReport({ state: "failed", error }));
  log.add(sampleReport({ id: "m-2", state: "conflict", error: null }));
  assert.deepEqual(said.map(([level, message, { fields }]) => [level, message, fields?.code]), [
    ["warn", "it ended", "guest_gone"],
    ["error", "web: conflict", null],
  ]);
});

Deno.test("a restart does not tell the past of a move again", () => {
  const { log, events } = world();
  log.add(sampleReport({ rounds: [round(1, 500)], state: "copying" }));
  assert.deepEqual(events(), ["info move.state"]);
});
