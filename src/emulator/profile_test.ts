import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { jsonErrorOffset, lineAndColumn } from "../core/json_position.ts";
import { MAX_HELD_BYTES, parseProfile } from "./profile.ts";

const MINIMAL = {
  name: "x",
  description: "d",
  source: "s",
  forward: { rateBitsPerSecond: 100_000_000, delayMs: 50 },
};

/** The profile with one field replaced, as a file would hold it. */
function fileWith(field: string, value: unknown): string {
  const file = structuredClone(MINIMAL) as Record<string, unknown>;
  const keys = field.split(".");
  let at = file;
  for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return JSON.stringify(file);
}

function messageOf(text: string): string {
  try {
    parseProfile(text, "some.json");
  } catch (error) {
    assert(error instanceof GatewayError, String(error));
    assert.equal(error.code, "profile_invalid");
    assert.match(error.message, /some\.json/);
    return error.message;
  }
  throw new assert.AssertionError({ message: `was accepted: ${text}` });
}

Deno.test("parseProfile() fills in what is missing", () => {
  const profile = parseProfile(JSON.stringify(MINIMAL), "x.json");
  const direction = {
    rateBitsPerSecond: 100_000_000,
    delayMs: 50,
    jitterMs: 0,
    reorder: false,
    lossRatio: 0,
    burstLoss: null,
    duplicateRatio: 0,
    corruptRatio: 0,
    // 100 Mbit/s for the round trip of 100 ms.
    queueBytes: 1_250_000,
  };
  assert.deepEqual(profile, {
    ...MINIMAL,
    forward: direction,
    backward: direction,
    timeline: [],
    timelinePeriodMs: null,
  });
});

Deno.test("the default queue follows each direction's rate and both delays", () => {
  const text = fileWith("backward", { rateBitsPerSecond: 10_000_000, delayMs: 30 });
  const profile = parseProfile(text, "x.json");
  assert.equal(profile.forward.queueBytes, 1_000_000);
  assert.equal(profile.backward.queueBytes, 100_000);
});

Deno.test("parseProfile() names field, value and allowed range", () => {
  const cases: [string, unknown, RegExp][] = [
    ["forward.lossRatio", 1.5, /forward\.lossRatio is 1\.5, allowed: a number from 0 to 1/],
    ["forward.rateBitsPerSecond", 0, /rateBitsPerSecond is 0, allowed: .* from 8000 to/],
    ["forward.rateBitsPerSecond", "fast", /is "fast", allowed: a whole number/],
    ["forward.delayMs", undefined, /forward\.delayMs is missing, allowed: a number/],
    ["forward.delayMs", -1, /forward\.delayMs is -1, allowed: a number from 0 to 60000/],
    ["forward.reorder", 1, /forward\.reorder is 1, allowed: true or false/],
    ["forward.queueBytes", 10, /forward\.queueBytes is 10, allowed: a whole number from 1500/],
    ["forward.jitterMs", 51, /forward jitterMs is 51, allowed: 0 to delayMs \(50\)/],
    ["forward.loss", 0.1, /forward\.loss is not known, allowed: the fields .*lossRatio/],
    ["forward.burstLoss", {}, /burstLoss\.goodToBadRatio is missing, allowed: a number from 0/],
    ["name", "", /name is "", allowed: a text/],
    ["rate", 1, /rate is not known, allowed: the fields name, description/],
    ["forward", [], /forward is \[\], allowed: an object/],
    ["timeline", [{ outageMs: 5 }], /timeline\[0\]\.atMs is missing/],
    ["timeline", [{ atMs: 5 }], /timeline\[0\] does nothing, allowed: set, outageMs or both/],
    ["timeline", [{ atMs: 0, set: { delayMs: 1e9 } }], /timeline\[0\]\.set\.delayMs is 1000000000/],
    ["timeline", [{ atMs: 0, direction: "up", outageMs: 1 }], /"forward", "backward", "both"/],
    ["timeline", [{ atMs: 0, set: { jitterMs: 60 } }], /jitterMs is 60, allowed: 0 to delayMs/],
  ];
  for (const [field, value, expected] of cases) {
    assert.match(messageOf(fileWith(field, value)), expected);
  }
});

Deno.test("parseProfile() refuses what does not fit together", () => {
  const periodic = (timeline: unknown[]) =>
    JSON.stringify({ ...MINIMAL, timeline, timelinePeriodMs: 1000 });
  assert.match(messageOf(periodic([{ atMs: 900, outageMs: 200 }])), /ends at 1100 ms, allowed: w/);
  assert.match(
    messageOf(periodic([
      { atMs: 0, outageMs: 500, outageMode: "hold" },
      { atMs: 500, outageMs: 500, outageMode: "hold" },
    ])),
    /held for the whole period/,
  );
  const huge = fileWith("forward", { rateBitsPerSecond: 40e9, delayMs: 60_000 });
  assert.match(
    messageOf(huge),
    new RegExp(`hold .* bytes at once, allowed: up to ${MAX_HELD_BYTES}`),
  );
  assert.match(messageOf("[]"), /the whole file is \[\], allowed: an object with the fields name/);
});

Deno.test("a syntax error is named by line and column", () => {
  const text = '{\n  "name": "x",\n  "forward": { "delayMs": 5,, }\n}';
  assert.match(messageOf(text), /it is not JSON, line 3 column 29$/);
  assert.match(messageOf('{\n"a": 1\n'), /line 3 column 1$/);
  assert.match(messageOf(""), /line 1 column 1$/);
});

Deno.test("jsonErrorOffset() agrees with JSON.parse on what is valid", () => {
  const json = fc.json({ maxDepth: 4 });
  const edit = fc.tuple(
    fc.nat(60),
    fc.nat(2),
    fc.constantFrom("", ",", '"', "}", "]", "0", "\\", "x"),
  );
  fc.assert(
    fc.property(json, fc.array(edit, { maxLength: 3 }), (valid, edits) => {
      let text = valid;
      for (const [at, removed, added] of edits) {
        text = text.slice(0, at) + added + text.slice(at + removed);
      }
      const offset = jsonErrorOffset(text);
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false;
      }
      assert.equal(offset === null, parses, text);
      assert(offset === null || (offset >= 0 && offset <= text.length));
    }),
    { numRuns: 500 },
  );
});

Deno.test("jsonErrorOffset() takes a text that nests as deep as it is long", () => {
  const depth = 300_000;
  assert.equal(jsonErrorOffset("[".repeat(depth)), depth);
  assert.equal(jsonErrorOffset('{"a":'.repeat(depth)), 5 * depth);
  assert.equal(jsonErrorOffset("[".repeat(depth) + "]".repeat(depth)), null);
  assert.equal(jsonErrorOffset("[".repeat(depth) + "}"), depth);
});

Deno.test("lineAndColumn() counts both from 1", () => {
  assert.deepEqual(lineAndColumn("ab\ncd", 0), { line: 1, column: 1 });
  assert.deepEqual(lineAndColumn("ab\ncd", 2), { line: 1, column: 3 });
  assert.deepEqual(lineAndColumn("ab\ncd", 4), { line: 2, column: 2 });
});
