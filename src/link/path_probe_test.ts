import assert from "node:assert/strict";
import { loadProfile } from "../emulator/load_profile.ts";
import { SAMPLE_MS, simulatePacedPath } from "../testing/pacer_simulation.ts";
import { PROBE_STEP_MS, ProbeSamples, probeSecondsMax } from "./path_probe.ts";
import type { PathMeasurement } from "./peer_link.ts";

const PATH: PathMeasurement = {
  roundTripMs: 84,
  minRoundTripMs: 80,
  bottleneckBytesPerSecond: null,
  goodputBytesPerSecond: null,
  lossRatio: 0.01,
  queueMs: 3,
  jitterMs: 2,
  silentMs: 0,
};

interface Course {
  /** Bytes per second at a time. */
  readonly rate: (ms: number) => number;
  readonly bottleneck?: (ms: number) => number | null;
  readonly roundTripMs?: number;
}

/** Feeds samples until they are settled, or for 5 s. */
function follow({ rate, bottleneck = () => null, roundTripMs = 80 }: Course): ProbeSamples {
  const samples = new ProbeSamples();
  let bytes = 0;
  for (let ms = 0; ms <= 5_000; ms += PROBE_STEP_MS) {
    const path = { ...PATH, minRoundTripMs: roundTripMs, bottleneckBytesPerSecond: bottleneck(ms) };
    samples.add(1_000 + ms, bytes, path);
    if (samples.isSettled) break;
    bytes += rate(ms) * PROBE_STEP_MS / 1000;
  }
  return samples;
}

const doubling = (ms: number) => Math.min(10e6, 500_000 * 2 ** (ms / 100));

Deno.test("a carrier that still becomes faster is not settled; one that has arrived is", () => {
  const samples = follow({ rate: doubling, bottleneck: (ms) => ms < 450 ? null : 10e6 });
  const { seconds, isSettled, goodputBytesPerSecond, goodputRange, ...rest } = samples.result(
    "filler",
    7,
  );
  assert.ok(isSettled && seconds > 1 && seconds < 1.4, `settled after ${seconds} s`);
  assert.ok(Math.abs(goodputBytesPerSecond! / 10e6 - 1) < 0.02, `${goodputBytesPerSecond}`);
  assert.ok(goodputRange!.low > 9e6 && goodputRange!.high <= 10.01e6);
  assert.deepEqual(rest, {
    source: "filler",
    sentBytes: 7,
    bottleneckBytesPerSecond: 10e6,
    roundTripMs: 84,
    minRoundTripMs: 80,
    jitterMs: 2,
    lossRatio: 0.01,
  });
});

Deno.test("an estimate that still moves is waited for, and so are whole round trips", () => {
  const moving = follow({
    rate: () => 10e6,
    bottleneck: (ms) => ms < 2_000 ? 5e6 + 2_000 * ms : 9e6,
  });
  assert.ok(moving.seconds > 2.3, `${moving.seconds}`);
  const far = follow({ rate: () => 10e6, roundTripMs: 600 });
  assert.ok(far.seconds >= 1.8, `${far.seconds}`);
});

Deno.test("a path that varies says between what, and never settles", () => {
  const varying = follow({ rate: (ms) => ms % 1_000 < 500 ? 4e6 : 8e6 });
  const { seconds, isSettled, goodputBytesPerSecond, goodputRange } = varying.result("filler", 0);
  assert.ok(!isSettled && seconds === 5);
  assert.ok(Math.abs(goodputBytesPerSecond! / 6e6 - 1) < 0.1, `${goodputBytesPerSecond}`);
  assert.ok(goodputRange!.low < 4.1e6 && goodputRange!.high > 7.9e6);
});

Deno.test("a path that carries nothing is no rate that stands still, and nothing is no path", () => {
  assert.equal(follow({ rate: () => 0 }).isSettled, false);
  const none = new ProbeSamples().result("filler", 0);
  assert.equal(none.goodputBytesPerSecond, null);
  assert.equal(none.goodputRange, null);
  assert.equal(none.roundTripMs, null);
  assert.equal(none.seconds, 0);
});

Deno.test("what a probe finds in its seconds is what a path then carries", async () => {
  for (const name of ["metro", "transatlantic", "lossy-intercontinental", "geo-satellite"]) {
    const profile = await loadProfile(name);
    const looks: { atMs: number; path: PathMeasurement }[] = [];
    const result = simulatePacedPath({
      profile,
      seconds: 12,
      seed: 1,
      cap: (path, atMs) => {
        looks.push({ atMs, path });
        return null;
      },
    });
    const samples = new ProbeSamples();
    for (const { atMs, path } of looks) {
      samples.add(atMs, result.receivedBytes[atMs / SAMPLE_MS], path);
      if (samples.isSettled) break;
    }
    const { seconds, goodputBytesPerSecond } = samples.result("filler", 0);
    assert.ok(seconds < probeSecondsMax(2 * profile.forward.delayMs), `${seconds} s on ${name}`);
    const laterBytesPerSecond = result.goodputRatio(8_000, 12_000) *
      profile.forward.rateBitsPerSecond / 8;
    const ratio = goodputBytesPerSecond! / laterBytesPerSecond;
    assert.ok(Math.abs(ratio - 1) < 0.07, `${ratio} on ${name}`);
  }
});

Deno.test("a far path may be probed for longer", () => {
  assert.equal(probeSecondsMax(null), 3);
  assert.equal(probeSecondsMax(80), 3);
  assert.equal(probeSecondsMax(600), 7.2);
});
