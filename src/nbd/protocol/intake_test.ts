import assert from "node:assert/strict";
import fc from "fast-check";
import { collect, fill, Intake, type Parser, skip } from "./intake.ts";

/** Cuts `bytes` at the given places, whatever they are. */
function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const bounds = [0, ...cuts.map((at) => at % (bytes.length + 1)), bytes.length];
  bounds.sort((a, b) => a - b);
  return bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
}

const wantSpecs = fc.array(
  fc.record({ kind: fc.constantFrom("collect", "fill", "skip"), lengthBytes: fc.nat(40) }),
  { maxLength: 12 },
);

Deno.test("an intake gives the same pieces at any chunking and whatever becomes of the input", () => {
  fc.assert(
    fc.property(wantSpecs, fc.array(fc.nat()), fc.boolean(), (specs, cuts, useDirect) => {
      const stream = new Uint8Array(specs.reduce((sum, spec) => sum + spec.lengthBytes, 0));
      stream.forEach((_, index) => stream[index] = index % 251);
      const got: number[][] = [];
      function* parse(): Parser {
        for (const { kind, lengthBytes } of specs) {
          if (kind === "skip") yield* skip(lengthBytes);
          if (kind === "collect") got.push([...yield* collect(lengthBytes)]);
          if (kind === "fill") {
            const target = new Uint8Array(lengthBytes);
            yield* fill(target);
            got.push([...target]);
          }
        }
      }
      const intake = new Intake(parse());
      for (const chunk of cut(stream, cuts)) {
        const input = chunk.slice();
        let at = 0;
        const target = useDirect ? intake.directTarget(1) : null;
        if (target) {
          at = Math.min(target.length, input.length);
          target.set(input.subarray(0, at));
          intake.advance(at);
        }
        intake.feed(input.subarray(at));
        input.fill(255);
      }
      let at = 0;
      const expected: number[][] = [];
      for (const { kind, lengthBytes } of specs) {
        if (kind !== "skip") expected.push([...stream.subarray(at, at + lengthBytes)]);
        at += lengthBytes;
      }
      assert.deepEqual(got, expected);
      assert(intake.ended);
    }),
  );
});

Deno.test("an intake offers a direct target only for fills that are long enough", () => {
  function* parse(): Parser {
    yield* collect(2);
    yield* fill(new Uint8Array(10));
  }
  const intake = new Intake(parse());
  assert.equal(intake.directTarget(1), null);
  intake.feed(new Uint8Array(5));
  assert.equal(intake.directTarget(8), null);
  assert.equal(intake.directTarget(7)?.length, 7);
});

Deno.test("an intake passes the parser's error on and is over then", () => {
  function* parse(): Parser {
    yield* collect(1);
    throw new Error("no");
  }
  const intake = new Intake(parse());
  assert.throws(() => intake.feed(new Uint8Array(3)), /no/);
  assert(intake.ended);
});
