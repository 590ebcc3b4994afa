import assert from "node:assert/strict";
import { sampleReport } from "../../http/testing/fake_service.ts";
import { unfinishedJson } from "./demo_report.ts";

const error = { code: "guest_gone", message: "Cannot go on: it ended", hint: "Start it" };
const setting = { plainCopyBytes: 1_000, profileName: "metro" };

Deno.test("a demo that failed within its move prints the report and that nothing was verified", () => {
  const report = sampleReport({ state: "failed", error });
  const last = unfinishedJson({ ...setting, report, error: null });
  assert.equal(last.id, report.id);
  assert.equal(last.state, "failed");
  assert.deepEqual(last.error, error);
  assert.equal(last.verified, false);
  assert.equal(last.plainCopyBytes, 1_000);
});

Deno.test("what ended a demo counts, not what its move says of itself", () => {
  const report = sampleReport({ state: "completed", error: null });
  const last = unfinishedJson({ ...setting, report, error });
  assert.equal(last.state, "completed");
  assert.deepEqual(last.error, error);
  assert.equal(last.verified, false);
});

Deno.test("a demo that was interrupted before its move prints what is not known as null", () => {
  assert.deepEqual(
    unfinishedJson({ ...setting, report: null, plainCopyBytes: null, error: null }),
    {
      verified: false,
      verification: null,
      plainCopyBytes: null,
      networkBytes: null,
      profile: "metro",
      error: null,
    },
  );
});
