import assert from "node:assert/strict";
import { cellsOf } from "./matrix.ts";
import { parseScenario } from "./scenario.ts";
import { testScenario } from "./testing/rows.ts";

const MINIMAL = {
  name: "m",
  description: "d",
  matrix: {
    profiles: ["metro"],
    guests: [{ name: "g", kind: "reference", memoryMiB: 8 }],
    strategies: [{ name: "s", way: "causeway" }],
  },
};

/** The file with one field changed, by its path. */
function changed(path: string, value: unknown): string {
  const file = structuredClone(MINIMAL) as Record<string, unknown>;
  const keys = path.split(".");
  let at = file;
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return JSON.stringify(file);
}

Deno.test("every scenario in experiments/ is one, with a file name that is its name", async () => {
  const folder = new URL("../../experiments/", import.meta.url);
  let count = 0;
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".json")) continue;
    const scenario = parseScenario(await Deno.readTextFile(new URL(name, folder)), name);
    assert.equal(`${scenario.name}.json`, name);
    assert.ok(cellsOf(scenario).length > 0, name);
    count++;
  }
  assert.ok(count > 0);
});

Deno.test("parseScenario() fills in every default", () => {
  const scenario = parseScenario(JSON.stringify(MINIMAL), "m.json");
  assert.deepEqual(scenario.matrix.seeds, [1]);
  assert.deepEqual(scenario.matrix.faults, [{ name: "none", events: [] }]);
  assert.equal(scenario.matrix.repetitions, 1);
  assert.equal(scenario.stop.cellSeconds, 900);
  assert.deepEqual(cellsOf(scenario).map(({ id }) => id), ["metro/g/default/none/s/s1/r1"]);
});

for (
  const [path, value, says] of [
    ["matrix.repetitions", 0, /m\.json: matrix\.repetitions is 0, allowed: a whole number from 1/],
    ["matrix.guests", [{ name: "g", kind: "xen" }], /matrix\.guests\[0\].*"reference" or "qemu"/],
    [
      "matrix.guests",
      [{ name: "g", kind: "reference", memoryMiB: "x" }],
      /matrix\.guests\[0\]\.memoryMiB is "x", allowed: a whole number from 1 to 65536/,
    ],
    [
      "matrix.strategies",
      [{ name: "s", way: "causeway", options: { strategy: "magic" } }],
      /strategies\[0\]\.options\.strategy is "magic", allowed: one of "precopy"/,
    ],
    [
      "matrix.profiles",
      [{ name: "p", base: "metro", change: { delayMs: -1 } }],
      /matrix\.profiles\[0\]\.change\.delayMs is -1, allowed: a number from 0 to 60000/,
    ],
    [
      "matrix.faults",
      [{ name: "f", events: [{ kind: "outage", atMs: 1, durationMs: 0 }] }],
      /matrix\.faults\[0\]\.events\[0\]\.durationMs is 0, allowed: a whole number from 1/,
    ],
    ["matrix.extra", 1, /matrix\.extra is not known, allowed: the fields profiles, guests/],
    ["matrix.seeds", [1, 1], /seed 1 is there twice, allowed: once/],
    ["leaveOut", [{ strategy: "t" }], /leaveOut\[0\]\.strategy is "t", allowed: s/],
    ["matrix.strategies", [{ name: "q", way: "qemu" }], /QEMU alone moves no reference guest/],
    ["leaveOut", [{ strategy: "s" }], /matrix has no cell/],
    ["matrix.repetitions", 1000, null],
  ] as const
) {
  Deno.test(`parseScenario() with ${path} ${JSON.stringify(value)} ${says === null ? "passes" : "says what is allowed"}`, () => {
    const parse = () => parseScenario(changed(path, value), "m.json");
    if (says === null) return void parse();
    assert.throws(parse, (error: Error & { code?: string }) => {
      assert.equal(error.code, "scenario_invalid");
      assert.match(error.message, says);
      return true;
    });
  });
}

Deno.test("parseScenario() names the line of what is no JSON", () => {
  assert.throws(() => parseScenario('{\n "name": x', "m.json"), /m\.json.*line 2 column 10/);
});

Deno.test("parseScenario() refuses a matrix that nobody waits for", () => {
  const text = changed("matrix.repetitions", 1000).replace(
    '"strategies"',
    `"seeds":[${Array.from({ length: 11 }, (_, seed) => seed)}],"strategies"`,
  );
  assert.throws(
    () => parseScenario(text, "m.json"),
    /matrix has 11000 cells, allowed: up to 10000/,
  );
});

Deno.test("cellsOf() lets what is compared run next to each other, and leaves out what is asked for", () => {
  const scenario = testScenario({
    matrix: { repetitions: 2 },
    leaveOut: [{ guest: "big", strategy: "stock" }],
  });
  const cells = cellsOf(scenario);
  assert.equal(cells.length, 2 * (2 * 2 * 2 - 2));
  assert.deepEqual(cells.slice(0, 4).map(({ id }) => id), [
    "metro/tiny/default/none/ours/s1/r1",
    "metro/tiny/default/none/stock/s1/r1",
    "metro/big/default/none/ours/s1/r1",
    "slow/tiny/default/none/ours/s1/r1",
  ]);
  assert.ok(cells.every(({ index }, place) => index === place));
});
