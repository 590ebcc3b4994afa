import assert from "node:assert/strict";
import { isForTests, placeOf, readFiles } from "./files.ts";
import { stripSource } from "./source_text.ts";

const production = (await readFiles("src/", /\.ts$/)).filter(({ path }) => !isForTests(path));

/** Calls of a machine's driver after which it may run here. */
const STARTS = /\.(destination\.start|source\.(resume|restore|cancel))\(/g;
/** As far back as the call of `withToken` that stands around one of them begins. */
const AROUND_CHARACTERS = 160;

/** Modules that speak to a machine itself: what they do is called by `STARTS` alone. */
const DRIVERS = [
  "src/qemu/destination/destination_side.ts",
  "src/qemu/source/restore.ts",
  "src/qemu/source/source_side.ts",
];

Deno.test("every effect that could start a machine goes through its fencing token", () => {
  const calls = production.filter(({ path }) => !path.startsWith("src/guest/"))
    .flatMap((module) => {
      const { codeOnly } = stripSource(module.text);
      return [...codeOnly.matchAll(STARTS)].map((match) => ({
        place: placeOf(module, match.index),
        before: codeOnly.slice(Math.max(0, match.index - AROUND_CHARACTERS), match.index),
      }));
    });
  assert.ok(calls.length >= 4, "the pattern finds the calls that there are");
  const bare = calls.filter(({ before }) => !before.includes("withToken("));
  assert.deepEqual(bare.map(({ place }) => place), []);
});

Deno.test("QEMU is told to run by its driver's three ways alone", () => {
  const found = production.filter(({ text }) => /execute\("cont"/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(found.sort(), DRIVERS);
});
