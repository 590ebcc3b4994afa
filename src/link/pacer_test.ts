import assert from "node:assert/strict";
import { loadProfile } from "../emulator/load_profile.ts";
import { parseProfile } from "../emulator/profile.ts";
import type { WanProfile } from "../emulator/settings.ts";
import { Pacer } from "./pacer.ts";
import { PacedSender } from "./pacer_bucket.ts";
import { type PacedPathOptions, simulatePacedPath } from "../testing/pacer_simulation.ts";

const SECONDS = 8;

function forward(profile: WanProfile, change: Partial<WanProfile["forward"]>): WanProfile {
  return { ...profile, forward: { ...profile.forward, ...change } };
}

async function run(name: string, options: Partial<PacedPathOptions> = {}) {
  const profile = await loadProfile(name);
  return simulatePacedPath({ profile, seconds: SECONDS, seed: 1, ...options });
}

const atLeast = (value: number, limit: number, what: string) =>
  assert.ok(value >= limit, `${what} is ${value.toFixed(4)}, at least ${limit}`);
const atMost = (value: number, limit: number, what: string) =>
  assert.ok(value <= limit, `${what} is ${value.toFixed(4)}, at most ${limit}`);

Deno.test("the pacer fills every kind of path and leaves its queue short", async () => {
  const cases: [string, number, number][] = [
    ["metro", 0.85, 0.03],
    ["continental", 0.92, 0.005],
    ["transatlantic", 0.92, 0.005],
    ["lossy-intercontinental", 0.9, 0.005],
    // 20 to 40 kB of the start.
    ["congested-dsl", 0.88, 0.0075],
    ["geo-satellite", 0.85, 0.005],
  ];
  for (const [name, goodputMin, dropMax] of cases) {
    for (const seed of [1, 2]) {
      const result = await run(name, { seed });
      atLeast(result.goodputRatio(3_000, 8_000), goodputMin, `goodput on ${name}, seed ${seed}`);
      atMost(result.queueDropRatio, dropMax, `share dropped on ${name}, seed ${seed}`);
    }
  }
});

Deno.test("two seconds after the first byte the path is full", async () => {
  for (const name of ["metro", "transatlantic", "lossy-intercontinental"]) {
    atLeast((await run(name)).goodputRatio(2_000, 3_000), 0.85, `goodput of ${name} by then`);
  }
});

Deno.test("a far path has shown most of its rate within four round trips", async () => {
  // 0.28 and 0.24 where the first guess doubles from the beginning.
  const cases: [string, number, number][] = [
    ["transatlantic", 300, 0.6],
    ["lossy-intercontinental", 400, 0.6],
  ];
  for (const [name, fromMs, goodputMin] of cases) {
    const seeds = [1, 2, 3, 4];
    const runs = await Promise.all(seeds.map((seed) => run(name, { seed, seconds: 1 })));
    const ratios = runs.map((result) => result.goodputRatio(fromMs, fromMs + 200));
    atLeast(ratios.reduce((sum, ratio) => sum + ratio) / seeds.length, goodputMin, name);
  }
});

Deno.test("a line that is slower than the first flight loses about as much as of a gentle start", () => {
  const about = { name: "slow", description: "A test", source: "A test" };
  // 15 kB and 255 kB where the first guess doubles from the beginning.
  for (const [rateBitsPerSecond, dropMax] of [[5_000_000, 40_000], [2_000_000, 250_000]]) {
    const text = JSON.stringify({ ...about, forward: { rateBitsPerSecond, delayMs: 40 } });
    const profile = parseProfile(text, "test.json");
    const result = simulatePacedPath({ profile, seconds: 2, seed: 1 });
    const droppedBytes = result.queueDropRatio * result.receivedBytes.at(-1)!;
    atMost(droppedBytes, dropMax, `bytes dropped of ${rateBitsPerSecond} bit/s`);
  }
});

Deno.test("programs that pause for some ms do not starve the pacer", async () => {
  const pauses = { everyMs: 100, meanMs: 3 };
  atLeast((await run("metro", { pauses })).goodputRatio(3_000, 8_000), 0.7, "goodput on metro");
  for (const name of ["continental", "transatlantic", "lossy-intercontinental"]) {
    const result = await run(name, { pauses });
    atLeast(result.goodputRatio(3_000, 8_000), 0.88, `goodput on ${name}`);
    atMost(result.queueDropRatio, 0.01, `share dropped on ${name}`);
  }
});

Deno.test("random loss is no sign of congestion", async () => {
  const profile = forward(await loadProfile("transatlantic"), { lossRatio: 0.05 });
  const result = simulatePacedPath({ profile, seconds: SECONDS, seed: 1 });
  // 5 % of what leaves is lost and sent again.
  atLeast(result.goodputRatio(3_000, 8_000), 0.86, "goodput");
});

Deno.test("a path that becomes slower is followed before its queue overflows for long", async () => {
  for (const name of ["transatlantic", "lossy-intercontinental"]) {
    const { rateBitsPerSecond } = (await loadProfile(name)).forward;
    const result = await run(name, {
      changes: [{
        atMs: 4_000,
        apply: (link) => link.change({ rateBitsPerSecond: rateBitsPerSecond / 2 }),
      }],
    });
    atLeast(2 * result.goodputRatio(5_000, 8_000), 0.88, `goodput on ${name} afterwards`);
    atMost(result.queueDropRatio, 0.01, `share dropped on ${name}`);
  }
});

Deno.test("a path that becomes faster is found within two seconds", async () => {
  for (const name of ["metro", "transatlantic", "lossy-intercontinental"]) {
    const fast = await loadProfile(name);
    const { rateBitsPerSecond } = fast.forward;
    const result = simulatePacedPath({
      profile: forward(fast, { rateBitsPerSecond: rateBitsPerSecond / 5 }),
      seconds: SECONDS,
      seed: 1,
      changes: [{ atMs: 4_000, apply: (link) => link.change({ rateBitsPerSecond }) }],
    });
    atLeast(5 * result.goodputRatio(6_000, 8_000), 0.85, `goodput on ${name} afterwards`);
  }
});

Deno.test("after an outage the rate comes back by itself", async () => {
  for (const name of ["transatlantic", "lossy-intercontinental"]) {
    const result = await run(name, {
      changes: [{ atMs: 3_000, apply: (link) => link.cut(3_000, 2_000, "drop") }],
    });
    assert.equal(result.goodputRatio(3_500, 5_000), 0);
    atLeast(result.goodputRatio(7_000, 8_000), 0.8, `goodput on ${name} afterwards`);
  }
});

Deno.test("what the application does not send says nothing about the path", async () => {
  const { rateBitsPerSecond } = (await loadProfile("transatlantic")).forward;
  const offeredBytesPerSecond = 0.4 * rateBitsPerSecond / 8;
  const result = await run("transatlantic", { offeredBytesPerSecond });
  atLeast(result.goodputRatio(3_000, 8_000), 0.39, "goodput");
  atLeast(result.pacer.rateBytesPerSecond, offeredBytesPerSecond, "rate");
});

Deno.test("PacedSender catches up with a missed turn without a burst", () => {
  const sender = new PacedSender();
  const rate = 1_000_000;
  const sendFrom = (nowMs: number) => {
    let bytes = 0;
    while (sender.waitMs(nowMs, rate, 10) === 0) {
      sender.sent(100, nowMs, rate, 10);
      bytes += 100;
    }
    return bytes;
  };
  let total = 0;
  for (let ms = 0; ms < 20; ms++) total += sendFrom(ms);
  atMost(Math.abs(total - 20_000), 2_500, "distance from 1,000 bytes a ms");
  // A pause of 8 ms: 8,000 bytes are due.
  const afterPause = sendFrom(28);
  atMost(afterPause, 2_500, "burst after a pause");
  let caughtUp = afterPause;
  for (let ms = 29; ms < 48; ms++) caughtUp += sendFrom(ms);
  atLeast(caughtUp, 26_000, "bytes of the 28 ms since the pause began");
});

Deno.test("a busy program before anything was sent does not end the start", () => {
  const phaseAfter = (isPaced: boolean) => {
    const pacer = new Pacer();
    for (let nowMs = 0; nowMs < 400; nowMs += 5) {
      const lateMs = nowMs < 200 ? 0 : 15;
      pacer.take({
        nowMs,
        transitMs: 2 + lateMs,
        delivery: null,
        minRoundTripMs: 4,
        roundTripMs: 4 + lateMs,
        arrivedBytes: 0,
        arrivedAtMs: nowMs,
        sentBytes: 0,
        readBytes: 0,
        isHasty: false,
        isPaced,
      });
    }
    return pacer.phase;
  };
  assert.equal(phaseAfter(false), "startup");
  assert.equal(phaseAfter(true), "cruise");
});
