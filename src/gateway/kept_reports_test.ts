import assert from "node:assert/strict";
import { sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport } from "../migration/report.ts";
import { keptReport, ofThisVersion } from "./kept_reports.ts";

const LATER: (keyof MigrationReport)[] = [
  ...["rate", "weight", "priority", "whenOver", "window"] as const,
  ...["forecast", "leadMs", "convergence", "throttle", "question"] as const,
  ...["rollback", "rollbackOf", "adjudication"] as const,
];

Deno.test("a report that an older version kept has every field, as unknown or as it was meant", () => {
  const present = sampleReport({ state: "completed", rate: 5_000, rateBytesPerSecond: 5_000 });
  const kept: Partial<MigrationReport> = { ...present };
  for (const name of LATER) delete kept[name];
  const options = () => ({ rate: 5_000, maxDowntimeMs: 800 });
  assert.deepEqual(ofThisVersion(kept as MigrationReport, options), present);
});

Deno.test("a report of this version is given as it was kept", () => {
  const kept = sampleReport({ state: "failed", weight: 7 });
  assert.equal(ofThisVersion(kept, () => assert.fail("nobody needs the options")), kept);
});

Deno.test("of what was kept only a whole report is given, also where an older version kept it", () => {
  const present = sampleReport({ state: "completed", rate: 5_000, rateBytesPerSecond: 5_000 });
  const older: Partial<MigrationReport> = { ...present };
  for (const name of LATER) delete older[name];
  const options = () => ({ rate: 5_000, maxDowntimeMs: 800 });
  const given = (kept: unknown) => keptReport({ report: () => kept as null }, "m", options);
  assert.deepEqual(given(present), present);
  assert.deepEqual(given(older), present);
  for (const damaged of [null, 5, [], {}, { ...present, rounds: 3 }, { ...older, state: "?" }]) {
    assert.equal(given(damaged), null);
  }
});
