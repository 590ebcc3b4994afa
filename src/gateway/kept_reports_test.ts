import assert from "node:assert/strict";
import { sampleReport } from "../http/testing/fake_service.ts";
import type { MigrationReport } from "../migration/report.ts";
import { ofThisVersion } from "./kept_reports.ts";

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
