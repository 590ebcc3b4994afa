import assert from "node:assert/strict";
import fc from "fast-check";
import { NAME_WORDS, nameBuffer } from "../image/content_name.ts";
import { NameIndex } from "./name_index.ts";

/** Names that agree in their first words, so that entries crowd. */
function name(seed: number): Uint32Array {
  const words = nameBuffer();
  words.fill(seed % 7);
  words[NAME_WORDS - 1] = seed;
  return words;
}

Deno.test("names are found where they were added, and not after they were removed", () => {
  const steps = fc.array(fc.record({ seed: fc.nat(400), add: fc.boolean() }), {
    maxLength: 3000,
    size: "max",
  });
  fc.assert(
    fc.property(steps, fc.nat(), (steps, secret) => {
      const index = new NameIndex(secret);
      const truth = new Map<number, number>();
      let place = 0;
      for (const { seed, add } of steps) {
        const at = truth.get(seed);
        if (add && at === undefined) {
          truth.set(seed, place);
          index.add(place++, name(seed));
        } else if (!add && at !== undefined) {
          index.remove(at);
          truth.delete(seed);
        }
      }
      assert.equal(index.count, truth.size);
      for (let seed = 0; seed <= 400; seed++) {
        assert.equal(index.find(name(seed)), truth.get(seed) ?? -1);
      }
    }),
    { numRuns: 60, endOnFailure: true },
  );
});

Deno.test("a name that differs in its last word only is another name", () => {
  const index = new NameIndex(1);
  const [one, other] = [name(7), name(7)];
  other[NAME_WORDS - 1] ^= 1;
  index.add(3, one);
  assert.equal(index.find(one), 3);
  assert.equal(index.find(other), -1);
  index.remove(99);
  assert.equal(index.count, 1);
});
