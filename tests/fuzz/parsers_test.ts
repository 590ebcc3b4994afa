import assert from "node:assert/strict";
import { readCorpus } from "../../src/testing/fuzz/corpus.ts";
import { openTarget, targetNames } from "../../src/testing/fuzz/targets/index.ts";
import { WatchedFuzzer } from "../../src/testing/fuzz/watched.ts";

/** A fuzzer looks for more: this share says that what was found once does not come back. */
const SEED = 1;
/** Of the executions that each target names. */
const SHARE = 0.1;
/** Says as much of a busy machine as of a parser: `deno task fuzz` judges by it. */
const BY_TIME = ["slow"];

Deno.test("every parser meets what was kept, and inputs that nobody has seen, as documented", async (t) => {
  const fuzzer = new WatchedFuzzer();
  try {
    for (const name of targetNames()) {
      await t.step(name, async () => {
        const kept = (await readCorpus(name)).map(({ input }) => input);
        const executions = await executionsOf(name);
        const budget = { seed: SEED, executions, seconds: Infinity };
        const result = await fuzzer.run(name, { kept, budget });
        const findings = result.findings.filter(({ kind }) => !BY_TIME.includes(kind))
          .map(({ kind, detail, input }) => `${kind}: ${detail}: ${input.slice(0, 64).toHex()}`);
        assert.deepEqual(findings, []);
        assert.ok(result.executions >= kept.length + executions, `${result.executions} inputs`);
      });
    }
  } finally {
    fuzzer.close();
  }
});

async function executionsOf(name: string): Promise<number> {
  const target = await openTarget(name);
  await target.close?.();
  return Math.ceil(target.testExecutions * SHARE);
}
