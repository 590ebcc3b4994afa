import assert from "node:assert/strict";
import { growthOf } from "../../bench/soak/growth.ts";
import { judge } from "../../bench/soak/judge.ts";
import type { Sample } from "../../bench/soak/run.ts";

const ROOT = `${import.meta.dirname}/../../`;
const MIB = 1024 * 1024;

/** Samples of gateway a over ten minutes. */
function samples(change: (seconds: number) => Partial<Sample>): Sample[] {
  return Array.from({ length: 60 }, (_, at) => {
    const seconds = 10 * at;
    return {
      site: "a",
      seconds,
      pid: 7,
      residentBytes: 200 * MIB,
      handles: 40,
      stateBytes: 20 * MIB,
      ledgerBytes: 4 * MIB,
      ...change(seconds),
    };
  });
}

/** Figures of gateway a that grow. */
const growing = (change: (seconds: number) => Partial<Sample>) =>
  judge({ seconds: 600, samples: samples(change) })
    .filter(({ grows }) => grows).map(({ figure }) => figure);

Deno.test("a line is fitted through what was seen", () => {
  const points = [0, 1, 2, 3].map((seconds) => ({ seconds, value: 5 + 2 * seconds }));
  assert.deepEqual(growthOf(points), { first: 5, last: 11, most: 11, perHour: 7200, rise: 6 });
  assert.deepEqual(growthOf([]), { first: 0, last: 0, most: 0, perHour: 0, rise: 0 });
  assert.equal(growthOf([{ seconds: 1, value: 9 }]).rise, 0);
});

Deno.test("a leak of each kind is seen, and neither a swing nor the first minutes are one", () => {
  assert.deepEqual(growing(() => ({})), []);
  assert.deepEqual(growing((s) => ({ residentBytes: (200 + s / 5) * MIB })), ["resident"]);
  assert.deepEqual(growing((s) => ({ handles: 40 + s / 20 })), ["handles"]);
  assert.deepEqual(growing((s) => ({ stateBytes: (20 + s / 10) * MIB })), ["state"]);
  assert.deepEqual(growing((s) => ({ ledgerBytes: (4 + s / 10) * MIB })), ["ledger"]);
  assert.deepEqual(growing((s) => ({ residentBytes: (200 + 40 * (s / 10 % 2)) * MIB })), []);
  assert.deepEqual(growing((s) => ({ residentBytes: Math.min(300, 100 + s) * MIB })), []);
  assert.deepEqual(growing(() => ({ residentBytes: 600 * MIB })), ["resident"], "too much at once");
});

Deno.test("after a restart only the new process is judged", () => {
  const change = (s: number) => ({ pid: s < 300 ? 7 : 8, handles: s < 300 ? 20 : 60 });
  assert.deepEqual(growing(change), []);
});

Deno.test("a machine that moves back and forth through outages for a minute stays whole, and nothing grows", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", "bench/soak.ts", "--minutes", "1"],
    cwd: ROOT,
  }).output();
  const printed = new TextDecoder().decode(stdout);
  const text = `${printed}${new TextDecoder().decode(stderr)}`;
  assert.ok(success, text);
  assert.match(printed, /^\d+ s: moves .*\d+ completed.*; [1-9]\d* times verified$/m, text);
  for (const site of ["a", "b"]) {
    for (const figure of ["resident", "handles", "state", "ledger"]) {
      assert.match(printed, new RegExp(`^ok +${site} +${figure} `, "m"), text);
    }
  }
});
