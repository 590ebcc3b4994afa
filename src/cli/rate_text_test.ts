import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRate } from "./rate_text.ts";

Deno.test("parseRate() reads every form, in bytes per second", () => {
  const rate = (value: unknown) => ({ kind: "rate", rate: value });
  const cases: [string, unknown][] = [
    ["2500000", rate(2_500_000)],
    ["20mbit", rate(2_500_000)],
    ["20MBit", rate(2_500_000)],
    ["0.5gbit", rate(62_500_000)],
    ["1kbit", rate(125)],
    ["none", rate(null)],
    [
      "clark:1mbit:80mbit",
      rate({ policy: "clark", minBytesPerSecond: 125_000, maxBytesPerSecond: 10_000_000 }),
    ],
    [
      "clark:1000:1000:50",
      rate({
        policy: "clark",
        minBytesPerSecond: 1_000,
        maxBytesPerSecond: 1_000,
        incrementBytesPerSecond: 50,
      }),
    ],
    ["fair", rate({ policy: "fair" })],
    ["fair:40mbit", rate({ policy: "fair", maxBytesPerSecond: 5_000_000 })],
    ["schedule:/etc/a:b.json", { kind: "schedule", path: "/etc/a:b.json" }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseRate(text), expected, text);
});

Deno.test("parseRate() says what is wrong with what it does not read", () => {
  const cases: [string, RegExp][] = [
    ["fast", /"fast" is no figure/],
    ["", /"" is no figure/],
    ["-5", /"-5" is no figure/],
    ["1e6", /e6" is no figure/],
    ["20mib", /mib is no unit of a rate; kbit, mbit and gbit are/],
    ["20mbit/s", /no figure/],
    ["5constructor", /constructor is no unit/],
    ["2.5", /bytes per second are whole/],
    ["0", /less than a byte/],
    ["0.001kbit", /less than a byte/],
    ["99999999999gbit", /beyond any link/],
    ["slow:5", /there is no policy slow/],
    ["clark", /clark takes the least rate/],
    ["clark:5", /clark takes the least rate/],
    ["clark:1:2:3:4", /clark takes the least rate/],
    ["clark:9:8", /the least rate of clark is above the most/],
    ["clark:1mbit:", /"" is no figure/],
    ["fair:1:2", /fair takes the most/],
    ["none:5", /none takes no figure/],
    ["schedule:", /path of its file/],
    ["schedule", /path of its file/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseRate(text), { name: "RangeError", message }, text);
  }
});

Deno.test("parseRate() gives a whole number of bytes that is the figure, or a RangeError", () => {
  const unit = fc.constantFrom(["kbit", 125], ["mbit", 125_000], ["gbit", 125_000_000]);
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 10_000_000 }), unit, (thousandths, [name, of]) => {
      const read = parseRate(`${thousandths / 1_000}${name}`);
      assert.ok(read.kind === "rate" && typeof read.rate === "number");
      assert.ok(Number.isSafeInteger(read.rate));
      assert.ok(Math.abs(read.rate - thousandths / 1_000 * (of as number)) <= 0.5 + 1e-6);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      parseRate(text);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
    }
  }));
});
