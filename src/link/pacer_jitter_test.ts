import assert from "node:assert/strict";
import { loadProfile } from "../emulator/load_profile.ts";
import { parseProfile } from "../emulator/profile.ts";
import { type PacedPathOptions, simulatePacedPath } from "../testing/pacer_simulation.ts";

const MBIT = 1_000_000;

interface PathSettings {
  readonly rateBitsPerSecond: number;
  readonly delayMs: number;
  readonly jitterMs?: number;
  readonly reorder?: boolean;
  readonly lossRatio?: number;
}

function path(forward: PathSettings) {
  const about = { name: "jittery", description: "A test", source: "A test" };
  return parseProfile(JSON.stringify({ ...about, forward }), "test.json");
}

function atLeast(value: number, limit: number, what: string): void {
  assert.ok(value >= limit, `${what} is ${value.toFixed(4)}, at least ${limit}`);
}

function atMost(value: number, limit: number, what: string): void {
  assert.ok(value <= limit, `${what} is ${value.toFixed(4)}, at most ${limit}`);
}

function check(
  settings: PathSettings,
  goodputMin: number,
  options: Partial<PacedPathOptions> & { readonly dropMax?: number; readonly fromMs?: number } = {},
): void {
  const { dropMax = 0.03, fromMs = 4_000 } = options;
  for (const seed of [1, 2, 3]) {
    const what = `${JSON.stringify(settings)}, seed ${seed}`;
    const profile = path(settings);
    const result = simulatePacedPath({ profile, seconds: 12, seed, ...options });
    atLeast(result.goodputRatio(fromMs, 12_000), goodputMin, `goodput with ${what}`);
    atMost(result.queueDropRatio, dropMax, `share dropped with ${what}`);
  }
}

Deno.test("jitter that keeps order is not taken for a queue", () => {
  const far = { rateBitsPerSecond: 20 * MBIT, delayMs: 60 };
  check({ ...far, jitterMs: 0 }, 0.9);
  check({ ...far, jitterMs: 3 }, 0.9);
  check({ ...far, jitterMs: 10 }, 0.88);
  check({ ...far, jitterMs: 30 }, 0.8);
  check({ rateBitsPerSecond: 20 * MBIT, delayMs: 35, jitterMs: 10 }, 0.85);
  check({ rateBitsPerSecond: 20 * MBIT, delayMs: 20, jitterMs: 10 }, 0.85);
  check({ rateBitsPerSecond: 20 * MBIT, delayMs: 10, jitterMs: 5 }, 0.88);
  check({ rateBitsPerSecond: 100 * MBIT, delayMs: 50, jitterMs: 15 }, 0.85);
});

Deno.test("packets that overtake each other are neither a queue nor lost", () => {
  const far = { rateBitsPerSecond: 20 * MBIT, delayMs: 60, reorder: true };
  check({ ...far, jitterMs: 3 }, 0.9);
  check({ ...far, jitterMs: 10 }, 0.88);
  check({ ...far, jitterMs: 30 }, 0.8);
  check({ rateBitsPerSecond: 20 * MBIT, delayMs: 35, jitterMs: 10, reorder: true }, 0.82);
  // Four times 0.5 before, because a round trip of 20 to 60 ms counts as short half of the time.
  check({ rateBitsPerSecond: 20 * MBIT, delayMs: 20, jitterMs: 10, reorder: true }, 0.72);
});

Deno.test("a slow path with jitter is filled as well", () => {
  const far = { rateBitsPerSecond: 5 * MBIT, delayMs: 60 };
  check({ ...far, jitterMs: 10 }, 0.9);
  check({ ...far, jitterMs: 10, reorder: true }, 0.88);
  // A queue of 52 packets, in which jitter of half the one-way time can hide an overflow for a while.
  check({ ...far, jitterMs: 30 }, 0.8, { dropMax: 0.15 });
  // The first guess is four times this rate, so the start overflows the queue whatever is done.
  const slow = { rateBitsPerSecond: MBIT, delayMs: 60 };
  check({ ...slow, jitterMs: 10 }, 0.8, { fromMs: 8_000, dropMax: 1 });
  check({ ...slow, jitterMs: 30 }, 0.75, { fromMs: 8_000, dropMax: 1 });
});

Deno.test("random loss and jitter together are no sign of congestion", () => {
  const far = { rateBitsPerSecond: 20 * MBIT, delayMs: 60 };
  for (const lossRatio of [0.03, 0.05]) {
    check({ ...far, lossRatio }, 0.85);
    check({ ...far, lossRatio, jitterMs: 10 }, 0.84);
    check({ ...far, lossRatio, jitterMs: 30 }, 0.65);
  }
});

Deno.test("the shipped paths with jitter are filled while their rate changes", async () => {
  for (const seed of [1, 2, 3]) {
    const lte = simulatePacedPath({ profile: await loadProfile("lte"), seconds: 15, seed });
    atLeast(lte.goodputRatio(3_000, 8_000), 0.8, `goodput on lte at 6 Mbit/s, seed ${seed}`);
    atLeast(1.5 * lte.goodputRatio(9_000, 15_000), 0.8, `goodput at 4 Mbit/s, seed ${seed}`);
    atMost(lte.queueDropRatio, 0.005, `share dropped on lte, seed ${seed}`);
  }
});

Deno.test("busy programs and jitter together leave most of the rate", () => {
  const pauses = { everyMs: 100, meanMs: 20 };
  const far = { rateBitsPerSecond: 20 * MBIT, delayMs: 60 };
  check(far, 0.78, { pauses });
  check({ ...far, jitterMs: 10 }, 0.78, { pauses });
  check({ ...far, jitterMs: 30 }, 0.65, { pauses });
});

Deno.test("a path with jitter that becomes slower is followed", () => {
  for (const seed of [1, 2, 3]) {
    const result = simulatePacedPath({
      profile: path({ rateBitsPerSecond: 20 * MBIT, delayMs: 60, jitterMs: 10 }),
      seconds: 12,
      seed,
      changes: [{
        atMs: 5_000,
        apply: (link) => link.change({ rateBitsPerSecond: 10 * MBIT }),
      }],
    });
    atLeast(2 * result.goodputRatio(7_000, 12_000), 0.85, `goodput afterwards, seed ${seed}`);
    atMost(result.queueDropRatio, 0.03, `share dropped, seed ${seed}`);
  }
});

Deno.test("jitter that ends leaves no long queue behind", () => {
  const profile = path({ rateBitsPerSecond: 20 * MBIT, delayMs: 60, jitterMs: 30 });
  const result = simulatePacedPath({
    profile,
    seconds: 30,
    seed: 1,
    changes: [{ atMs: 10_000, apply: (link) => link.change({ jitterMs: 0 }) }],
  });
  atLeast(result.goodputRatio(20_000, 30_000), 0.9, "goodput afterwards");
  atMost(result.pacer.queueMs, 30, "ms of queue at the end");
});
