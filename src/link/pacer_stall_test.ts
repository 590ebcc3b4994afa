import assert from "node:assert/strict";
import { parseProfile } from "../emulator/profile.ts";
import { simulatePacedPath } from "../testing/pacer_simulation.ts";

const STALL_AT_MS = 5_000;

function path(forward: Record<string, number>) {
  const about = { name: "stalled", description: "A test", source: "A test" };
  return parseProfile(JSON.stringify({ ...about, forward }), "test.json");
}

const PATHS = {
  "20 Mbit/s": path({ rateBitsPerSecond: 20_000_000, delayMs: 60 }),
  "20 Mbit/s with jitter": path({ rateBitsPerSecond: 20_000_000, delayMs: 60, jitterMs: 10 }),
  "100 Mbit/s with loss": path({ rateBitsPerSecond: 100_000_000, delayMs: 50, lossRatio: 0.01 }),
  "a short path": path({ rateBitsPerSecond: 200_000_000, delayMs: 2 }),
};

function backAfter(
  program: "host" | "sender" | "receiver" | "link",
  fromMs: number,
  toMs: number,
  least: (name: string) => number = () => 0.8,
): void {
  for (const [name, profile] of Object.entries(PATHS)) {
    for (const durationMs of [2_000, 8_000]) {
      const seconds = (STALL_AT_MS + durationMs + toMs) / 1000;
      const stalls = [{ atMs: STALL_AT_MS, durationMs, program }];
      const result = simulatePacedPath({ profile, seconds, seed: 1, stalls });
      const endMs = STALL_AT_MS + durationMs;
      const goodput = result.goodputRatio(endMs + fromMs, endMs + toMs);
      const what = `goodput on ${name} after the ${program} stood for ${durationMs} ms`;
      assert.ok(
        goodput >= least(name),
        `${what} is ${goodput.toFixed(3)}, at least ${least(name)}`,
      );
    }
  }
}

Deno.test("programs that stood still for seconds go on at the rate that was known", () => {
  backAfter("host", 0, 1_000);
  backAfter("sender", 0, 1_000);
  backAfter("receiver", 0, 1_000);
});

Deno.test("a link that held everything back for seconds is full again after three", () => {
  // What it let go at once overflowed the queue, which on a short path is a limit that was met.
  backAfter("link", 3_000, 5_000, (name) => name === "a short path" ? 0.7 : 0.8);
});
