import fc from "fast-check";
import { SessionWorld, type WorldOptions } from "../testing/session_world.ts";

const QUIET: Omit<WorldOptions, "seed"> = {
  migrations: 2,
  framesPerChannel: 10,
  cutEveryMs: Infinity,
  stallEveryMs: Infinity,
  restartEveryMs: Infinity,
  closeEveryMs: Infinity,
  healAtMs: 0,
  delayMs: 20,
  jitterMs: 15,
  duplicateRatio: 0.1,
};

function runs(count: number, options: Partial<WorldOptions>): void {
  const faulty = fc.property(fc.nat(), (seed) => {
    new SessionWorld({ ...QUIET, ...options, seed }).run(200_000);
  });
  fc.assert(faulty, { numRuns: count, endOnFailure: true });
}

Deno.test("over a reordering, duplicating link every frame is applied once and in order", () => {
  runs(60, {});
});

Deno.test("cuts at any moment lose nothing and repeat nothing", () => {
  runs(60, { cutEveryMs: 150, healAtMs: 2_000 });
});

Deno.test("outages with connections beside each other lose nothing and repeat nothing", () => {
  runs(60, { stallEveryMs: 500, cutEveryMs: 2_000, healAtMs: 4_000 });
});

Deno.test("after a restart of either process channels start anew and nothing old is applied", () => {
  runs(60, { restartEveryMs: 1_000, cutEveryMs: 700, stallEveryMs: 2_000, healAtMs: 3_000 });
});

Deno.test("migrations closed and opened again by either side never mix their frames", () => {
  runs(60, { closeEveryMs: 300, cutEveryMs: 700, stallEveryMs: 2_000, healAtMs: 4_000 });
});
