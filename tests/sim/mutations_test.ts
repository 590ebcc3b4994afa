import assert from "node:assert/strict";
import { MUTATIONS } from "../../src/testing/simulation/mutations.ts";
import { Farm } from "../../src/testing/simulation/farm.ts";
import { catchMutation } from "./catch_mutation.ts";

/** Each is caught by far less; the figures are in docs/results.md. */
const SEEDS_MAX = 400;
const WORKERS = 2;

Deno.test("at least eight deliberate bugs are tried", () => {
  assert.ok(MUTATIONS.length >= 8);
  assert.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
});

Deno.test("the simulator catches each of them", async (t) => {
  using farm = new Farm(WORKERS);
  for (const { name } of MUTATIONS) {
    await t.step(`the simulator catches a gateway in which ${name}`, async () => {
      const caught = await catchMutation(farm, name, SEEDS_MAX);
      assert.ok(caught, `not within ${SEEDS_MAX} seeds`);
      console.log(`${String(caught.seeds).padStart(5)} seeds: ${caught.rule}: ${caught.detail}`);
    });
  }
});
