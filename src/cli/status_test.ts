import assert from "node:assert/strict";
import { sampleForecast, sampleQuestion, sampleReport } from "../http/testing/fake_service.ts";
import { details, overview } from "./status.ts";

const rows = (lines: readonly string[]) =>
  new Map(lines.map((line) => [line.slice(0, 10).trim(), line.slice(11)]));

Deno.test("a move at length says what is wished of it, and nothing of what is not known", () => {
  const shown = rows(details(sampleReport()));
  assert.equal(shown.get("budget"), "300 ms");
  assert.equal(shown.get("rate"), "no cap");
  assert.equal(shown.get("share"), "weight 100, priority normal");
  assert.equal(shown.get("when over"), "wait");
  for (
    const name of ["now", "predicted", "converges", "lead time", "throttled", "window", "hold"]
  ) {
    assert.ok(!shown.has(name), name);
  }
});

Deno.test("a move at length says what is foreseen and what is done about it", () => {
  const shown = rows(details(sampleReport({
    predictedDowntimeMs: 250,
    forecast: sampleForecast(),
    convergence: { verdict: "notConverging", reason: "it writes 9 MB/s of 2.5" },
    leadMs: 42_000,
    throttle: { diskBytesPerSecond: null, cpuShare: 0.3 },
    rate: { policy: "fair", maxBytesPerSecond: 5_000_000 },
    rateBytesPerSecond: 1_250_000,
    whenOver: ["throttleCpu", "ask", "giveUp"],
    window: { from: "2026-01-31T02:00:00Z", until: null },
    hold: true,
  })));
  assert.deepEqual(
    [
      "now",
      "predicted",
      "converges",
      "lead time",
      "throttled",
      "rate",
      "when over",
      "window",
      "hold",
    ]
      .map((name) => shown.get(name)),
    [
      "pause 372 ms of 300 ms; 412 ms as clients see it",
      "250 ms",
      "NO: it writes 9 MB/s of 2.5",
      "42.0 s",
      "its CPUs lose 30 %",
      "fair up to 40.0 Mbit/s, now 10.0 Mbit/s",
      "throttleCpu, then ask, then giveUp",
      "from 2026-01-31T02:00:00Z until it is done",
      "until it is told to switch",
    ],
  );
});

Deno.test("each rate is shown as it was wished, with the cap in force where that differs", () => {
  const shown = (rate: Parameters<typeof sampleReport>[0]) =>
    rows(details(sampleReport(rate))).get("rate");
  const clark = {
    policy: "clark" as const,
    minBytesPerSecond: 125_000,
    maxBytesPerSecond: 12_500_000,
    incrementBytesPerSecond: 1,
  };
  const entry = { from: "08:00", until: "18:00", bytesPerSecond: null };
  assert.equal(shown({ rate: 250_000, rateBytesPerSecond: 250_000 }), "2.0 Mbit/s");
  assert.equal(
    shown({ rate: { policy: "fixed", bytesPerSecond: 250_000 }, rateBytesPerSecond: 250_000 }),
    "2.0 Mbit/s",
  );
  assert.equal(
    shown({ rate: clark, rateBytesPerSecond: null }),
    "clark from 1.0 Mbit/s to 100 Mbit/s, now no cap",
  );
  assert.equal(
    shown({ rate: { policy: "schedule", entries: [entry] }, rateBytesPerSecond: null }),
    "schedule of 1, now no cap",
  );
});

Deno.test("questions stand below the list, with the command that answers each", () => {
  const lines = overview([sampleReport(), sampleReport({ id: "m-2", question: sampleQuestion() })]);
  assert.match(lines.at(-2)!, /^QUESTION: May web/);
  assert.match(lines.at(-1)!, /causeway answer m-2 --accept .*--max-downtime MS .*--refuse/);
  assert.equal(lines.filter((line) => line.startsWith("QUESTION")).length, 1);
});
