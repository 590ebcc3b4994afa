import assert from "node:assert/strict";
import fc from "fast-check";
import { REMEDIES, remedies } from "./control/wishes.ts";
import { CHANGEABLE, migrationOptions } from "./options.ts";

/** Paths and messages of what is wrong with some options. */
function problems(options: Record<string, unknown>): string[] {
  const parsed = migrationOptions.safeParse(options);
  return parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

Deno.test("options of a ledger from before policies are read as they were meant", () => {
  const before = { strategy: "precopy", maxDowntimeMs: 300, hold: true, rate: 5_000 };
  const { rate, hold, weight, priority, whenOver, window, holdMemoryMs } = migrationOptions
    .parse(before);
  assert.deepEqual({ rate, hold, weight, priority, whenOver, window, holdMemoryMs }, {
    rate: 5_000,
    hold: true,
    weight: 100,
    priority: "normal",
    whenOver: ["wait"],
    window: null,
    holdMemoryMs: 600_000,
  });
});

Deno.test("each policy is taken with its defaults", () => {
  const clark = { policy: "clark", minBytesPerSecond: 1_000, maxBytesPerSecond: 1_000 };
  const entry = { from: "22:00", until: "06:00", days: [0, 6], bytesPerSecond: null };
  const cases: [unknown, unknown][] = [
    [{ policy: "fixed", bytesPerSecond: 1 }, { policy: "fixed", bytesPerSecond: 1 }],
    [clark, { ...clark, incrementBytesPerSecond: 6_250_000 }],
    [{ policy: "fair" }, { policy: "fair", maxBytesPerSecond: null }],
    [{ policy: "schedule", entries: [entry] }, { policy: "schedule", entries: [entry] }],
    [null, null],
  ];
  for (const [rate, expected] of cases) {
    assert.deepEqual(migrationOptions.parse({ rate }).rate, expected);
  }
});

Deno.test("wishes that contradict themselves are refused where the contradiction is", () => {
  const window = (from: string, until: string) => ({ window: { from, until } });
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { rate: { policy: "clark", minBytesPerSecond: 2, maxBytesPerSecond: 1 } },
      /^rate\.maxBytesPerSecond: .* below minBytesPerSecond$/,
    ],
    [
      {
        rate: {
          policy: "schedule",
          entries: [{ from: "08:00", until: "24:00", bytesPerSecond: 1 }],
        },
      },
      /^rate\.entries\.0\.until: a time of day, HH:MM in UTC/,
    ],
    [window("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), /^window\.until: .* later/],
    // The same moment in two zones.
    [window("2026-01-02T00:00:00Z", "2026-01-02T01:00:00+01:00"), /^window\.until: .* later/],
    [window("2026-01-02T00:00:00", "2026-01-03T00:00:00Z"), /^window\.from: a time with its zone/],
    [{ whenOver: ["giveUp", "ask"] }, /^whenOver: nothing comes after wait or giveUp$/],
    [{ whenOver: ["ask", "ask"] }, /^whenOver: each remedy at most once$/],
  ];
  for (const [options, message] of cases) {
    const found = problems(options);
    assert.equal(found.length, 1, JSON.stringify(found));
    assert.match(found[0], message);
  }
  assert.deepEqual(problems(window("2026-01-02T00:00:00Z", "2026-01-02T00:00:01Z")), []);
});

Deno.test("an order of remedies is taken just when nothing repeats or comes after its end", () => {
  fc.assert(fc.property(
    fc.array(fc.constantFrom(...REMEDIES), { minLength: 1, maxLength: 6 }),
    (list) => {
      const end = list.findIndex((remedy) => remedy === "wait" || remedy === "giveUp");
      const expected = new Set(list).size === list.length &&
        (end === -1 || end === list.length - 1);
      assert.equal(remedies.safeParse(list).success, expected);
    },
  ));
});

Deno.test("what can be changed while a move runs is not how it goes about it", () => {
  const fixed = Object.keys(migrationOptions.shape).filter((name) =>
    !CHANGEABLE.some((changeable) => changeable === name)
  );
  assert.deepEqual(fixed, ["strategy", "handover", "keepSource", "rollbackOf", "disable"]);
});
