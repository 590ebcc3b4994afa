import assert from "node:assert/strict";
import { parseProfile } from "../emulator/profile.ts";
import { simulatePacedPath } from "./pacer_simulation.ts";

function path(forward: Record<string, number>) {
  const about = { name: "shared", description: "A test", source: "A test" };
  return parseProfile(JSON.stringify({ ...about, forward }), "test.json");
}
const CLEAN = path({ rateBitsPerSecond: 20_000_000, delayMs: 20 });
const LOSSY = path({ rateBitsPerSecond: 20_000_000, delayMs: 20, lossRatio: 0.01 });
const NOTHING = { offeredBytesPerSecond: 1 };

Deno.test("TcpFlow fills a clean path with its queue, and little of a lossy one", () => {
  const clean = simulatePacedPath({
    profile: CLEAN,
    seconds: 20,
    seed: 1,
    tcpFromMs: [0],
    ...NOTHING,
  });
  assert.ok(clean.tcpRatio(5_000, 20_000) > 0.9, `${clean.tcpRatio(5_000, 20_000)}`);
  const queues = clean.queueMs.slice(50).map(Number);
  assert.ok(queues.reduce((sum, ms) => sum + ms, 0) / queues.length > 10, "it stands in a queue");
  // 1.22 packets over the root of the loss for each round trip: 12 of the 67 that the path holds
  // (Mathis et al., 1997); CUBIC gets somewhat more.
  const lossy = simulatePacedPath({
    profile: LOSSY,
    seconds: 20,
    seed: 1,
    tcpFromMs: [0],
    ...NOTHING,
  });
  const ratio = lossy.tcpRatio(5_000, 20_000);
  assert.ok(ratio > 0.12 && ratio < 0.35, `${ratio}`);
});

Deno.test("TcpFlow comes back after an outage in which everything was lost", () => {
  const result = simulatePacedPath({
    profile: CLEAN,
    seconds: 20,
    seed: 1,
    tcpFromMs: [0, 100],
    changes: [{ atMs: 5_000, apply: (link) => link.cut(5_000, 1_000, "drop") }],
    ...NOTHING,
  });
  assert.ok(result.tcpRatio(5_500, 6_000) < 0.05);
  assert.ok(result.tcpRatio(9_000, 20_000) > 0.9, `${result.tcpRatio(9_000, 20_000)}`);
});

Deno.test("beside TCP a cap leaves it the rest of the path", () => {
  const cap = 0.3 * CLEAN.forward.rateBitsPerSecond / 8;
  const { goodputRatio, tcpRatio } = simulatePacedPath({
    profile: CLEAN,
    seconds: 20,
    seed: 1,
    tcpFromMs: [1_000],
    cap: () => cap,
  });
  assert.ok(tcpRatio(8_000, 20_000) > 0.62, `${tcpRatio(8_000, 20_000)}`);
  assert.ok(goodputRatio(8_000, 20_000) > 0.26, `${goodputRatio(8_000, 20_000)}`);
});
