import assert from "node:assert/strict";
import { renderMetrics } from "./metrics.ts";
import {
  sampleForecast,
  samplePeer,
  sampleQuestion,
  sampleReport,
} from "./testing/fake_service.ts";

const process = { residentBytes: 5, heapBytes: 4, cpuSeconds: 1.5, startedAtSeconds: 9 };

Deno.test("every line is in the Prometheus text format, and every family is described once", () => {
  const text = renderMetrics({
    migrations: [sampleReport(), sampleReport({ id: 'm"2\\\n', state: "failed" })],
    peers: [samplePeer()],
    process,
  });
  assert.ok(text.endsWith("\n"));
  const described = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (\S+) (gauge|counter)$/.exec(line);
    if (type) {
      assert.ok(!described.has(type[1]), line);
      described.add(type[1]);
      assert.equal(type[1].endsWith("_total"), type[2] === "counter", line);
    } else if (!line.startsWith("# HELP ")) {
      const sample = /^([a-z_]+)(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? -?[0-9.e+-]+$/.exec(line);
      assert.ok(sample && described.has(sample[1]), line);
    }
  }
});

Deno.test("durations are seconds, and unknown values have no sample", () => {
  const text = renderMetrics({
    migrations: [
      sampleReport({ id: "a", downtimeMs: 250, state: "completed" }),
      sampleReport({ id: "b", question: sampleQuestion(), forecast: sampleForecast() }),
    ],
    peers: [samplePeer({ path: { ...samplePeer().path, lossRatio: null } })],
    process,
  });
  assert.match(text, /causeway_migrations\{state="completed"\} 1\n/);
  assert.match(text, /causeway_migrations\{state="inDoubt"\} 0\n/);
  assert.match(text, /causeway_wire_bytes_total\{channel="disk"\} 400\n/);
  assert.match(text, /downtime_seconds\{migration="a",guest="web",side="source"\} 0.25\n/);
  assert.ok(!text.includes('migration_downtime_seconds{migration="b"'));
  assert.match(
    text,
    /forecast_downtime_seconds\{migration="b",guest="web",side="source"\} 0.412\n/,
  );
  assert.ok(!text.includes('forecast_downtime_seconds{migration="a"'));
  assert.match(text, /question_open\{migration="a",guest="web",side="source"\} 0\n/);
  assert.match(text, /question_open\{migration="b",guest="web",side="source"\} 1\n/);
  assert.match(text, /remaining_bytes\{migration="b",guest="web",side="source"\} 800\n/);
  assert.match(text, /causeway_link_round_trip_seconds\{peer="east"\} 0.08\n/);
  assert.ok(!/causeway_link_loss_ratio\{/.test(text));
  assert.match(text, /process_resident_memory_bytes 5\n/);
});

Deno.test("series do not grow with the number of migrations that have ended", () => {
  const migrations = Array.from({ length: 500 }, (_, n) =>
    sampleReport({
      id: `m-${n}`,
      state: "completed",
      endedAt: new Date(n * 1000).toISOString(),
    }));
  const text = renderMetrics({ migrations, peers: [], process });
  assert.equal([...text.matchAll(/^causeway_migration_duration_seconds\{/gm)].length, 20);
  assert.ok(text.includes('duration_seconds{migration="m-499"'));
});
