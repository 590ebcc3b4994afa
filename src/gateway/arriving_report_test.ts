import assert from "node:assert/strict";
import type { DestinationActor } from "../migration/destination/actor.ts";
import { migrationOptions } from "../migration/options.ts";
import { ArrivingReport } from "./arriving_report.ts";

function arriving(): ArrivingReport {
  const stored = {
    id: "m",
    guestId: "g",
    side: "destination" as const,
    peer: "a",
    options: { ...migrationOptions.parse({}) },
    createdAt: "2026-01-01T00:00:00.000Z",
  };
  const actor = { state: { kind: "receiving" }, epoch: 2, isInDoubt: false, isSourceSilent: false };
  return new ArrivingReport(stored, actor as unknown as DestinationActor, "b", () => []);
}

Deno.test("progress of an arriving move does not go back when its source has restarted", () => {
  const report = arriving();
  const shown = [0.2, 0.7, 0.1, 0.8].map((progress) => {
    report.heard({ state: "copying", phase: `at ${progress}`, progress });
    return report.render().progress;
  });
  assert.deepEqual(shown, [0.2, 0.7, 0.7, 0.8]);
});

Deno.test("a source's report without a progress leaves it where it was", () => {
  const report = arriving();
  report.heard({ state: "copying", progress: 0.4 });
  report.heard({ state: "copying", phase: "of another version" });
  const { phase, progress } = report.render();
  assert.deepEqual({ phase, progress }, { phase: "of another version", progress: 0.4 });
});
