import assert from "node:assert/strict";
import type { PlanStrategy } from "../gateway/plan/report.ts";
import { samplePlan } from "../http/testing/fake_service.ts";
import { describePlan } from "./plan.ts";
import { withServedSite } from "./testing/served_site.ts";

function strategy(changes: Partial<PlanStrategy> = {}): PlanStrategy {
  return {
    strategy: "precopy",
    whenOver: ["wait"],
    totalMs: { low: 9_000, expected: 12_300, high: 20_000 },
    wireBytes: { low: 1024 ** 2, expected: 2 * 1024 ** 2, high: 3 * 1024 ** 2 },
    downtimeMs: { low: 150, expected: 200, high: 290 },
    fits: true,
    outcome: { low: "switched", expected: "switched", high: "switched" },
    reason: "the pause takes 200 ms of the 300 ms budget",
    budgetMs: 300,
    throttle: { diskBytesPerSecond: null, cpuShare: null },
    remarks: ["a remark"],
    ...changes,
  };
}

const TO = { guest: "web", to: "east" };

Deno.test("wishes of a plan reach the API as those of a move do", () =>
  withServedSite({}, async ({ run, calls }) => {
    const { code, err } = await run(
      ...["plan", "web", "--to", "east", "--seconds", "9", "--strategy", "precopy"],
      ...["--max-downtime", "900", "--rate", "20Mbit", "--when-over", "throttle-disks,giveUp"],
    );
    assert.equal(code, 0, err);
    const [name, request] = calls[0];
    assert.equal(name, "plan");
    assert.deepEqual(request, {
      ...TO,
      seconds: 9,
      strategy: "precopy",
      maxDowntimeMs: 900,
      rate: 2_500_000,
      whenOver: ["throttleDisks", "giveUp"],
    });
  }));

Deno.test("with --json a plan is one line, as the API has it", () =>
  withServedSite({
    plan: (request) => Promise.resolve(samplePlan(request, { strategies: [strategy()] })),
  }, async ({ run }) => {
    const { out } = await run("plan", "web", "--to", "east", "--json");
    assert.deepEqual(JSON.parse(out).strategies, [strategy()]);
  }));

Deno.test("a plan for people has a row for each strategy, and what it rests on", () => {
  const lines = describePlan(samplePlan(TO, {
    strategies: [
      strategy({ totalMs: { low: 9_000, expected: 12_300, high: null }, fits: null }),
      strategy({ whenOver: ["throttleDisks", "wait"], totalMs: null, fits: false }),
    ],
    changes: [{
      change: "doubleRate",
      text: "twice the rate (5.0 MB/s): 6 s instead of 12 s",
      outcome: "switched",
      totalMs: 6_000,
      wireBytes: 1,
      downtimeMs: 1,
    }],
    findings: [{ severity: "refusal", code: "disk_missing", message: "No disk", hint: "Add it" }],
    rate: { source: "probed", bytesPerSecond: { low: 2e6, expected: 2.5e6, high: 2.6e6 } },
    sample: {
      memory: {
        windows: [{ ms: 1_000, distinctBytes: 1024 ** 2 }, { ms: 3_000, distinctBytes: 1024 ** 2 }],
        zeroShare: null,
        wireRatio: null,
        rewriteRatio: null,
      },
      disks: [{ id: "root", writtenBytesPerSecond: 2048, distinctBytes: null, ms: 4_000 }],
    },
  }));
  const text = lines.join("\n");
  assert.match(lines[0], /^STRATEGY +DURATION +WIRE +DOWNTIME +FITS$/);
  assert.match(lines[1], /^precopy +12\.3 s \(9\.0 s to no end\) .* perhaps$/);
  assert.match(lines[2], /^precopy, throttleDisks +- +.* no$/);
  assert.match(text, /^refusal: No disk\. Add it$/m);
  assert.match(text, /^path: 20\.0 Mbit\/s probed \(16\.0 .* to 20\.8 .*\), 79 ms there and back/m);
  assert.match(text, /^writes: of memory 1\.00 MiB in 1\.0 s, .*; 2\.00 KiB\/s to root$/m);
  assert.match(text, /^if: twice the rate/m);
  // Remarks of several strategies are said once.
  assert.equal(lines.filter((line) => line === "note: a remark").length, 1);
  assert.doesNotMatch(text, /^why:/m);
});

Deno.test("a plan that does not end says why", () => {
  const endless = strategy({ totalMs: null, reason: "it writes 9 MB/s, the link carries 2" });
  assert.ok(
    describePlan(samplePlan(TO, { strategies: [endless] }))
      .includes("why: it writes 9 MB/s, the link carries 2"),
  );
});
