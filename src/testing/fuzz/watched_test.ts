import assert from "node:assert/strict";
import { PLANTED, type Planted } from "./targets/planted.ts";
import { WatchedFuzzer } from "./watched.ts";

/** More than the slow one takes. */
const COMPUTES_MS_MAX = 1_500;

Deno.test("a defect of each kind is found behind a word that no input has by chance", async (t) => {
  const fuzzer = new WatchedFuzzer();
  for (const defect of Object.keys(PLANTED) as Planted[]) {
    await t.step(defect, async () => {
      const budget = { seed: 1, executions: 60_000, seconds: 60, findings: 1 };
      const options = { kept: [], budget, computesMsMax: COMPUTES_MS_MAX };
      const { findings } = await fuzzer.run(`planted ${defect}`, options);
      assert.deepEqual(findings.map(({ kind }) => kind), [defect.split(" ")[0]]);
      const word = findings[0].input.slice(0, 3).map((byte) => byte & 31 | 96);
      assert.equal(new TextDecoder().decode(word), "wan");
    });
  }
  fuzzer.close();
});

Deno.test("the same seed meets a parser in the same ways, and what is kept is met first", async () => {
  const fuzzer = new WatchedFuzzer();
  const budget = { seed: 3, executions: 200, seconds: 60 };
  const run = (seed: number, kept: readonly Uint8Array[] = []) =>
    fuzzer.run("wire-records", { kept, budget: { ...budget, seed } });
  const [first, again, other] = [await run(3), await run(3), await run(4)];
  const figures = ({ read, refused, ways }: typeof first) => [read, refused, ways];
  assert.deepEqual(figures(again), figures(first));
  assert.notDeepEqual(figures(other), figures(first));
  const kept = [Uint8Array.of(1), Uint8Array.of(2)];
  assert.equal((await run(3, kept)).executions, budget.executions + kept.length);
  await assert.rejects(fuzzer.run("nothing", { kept: [], budget }), /No parser nothing; there are/);
  fuzzer.close();
});
