import assert from "node:assert/strict";
import { rateBetween } from "../../bench/share/arena.ts";
import { shapedProfile } from "../../bench/share/cases.ts";
import { requires } from "../../src/testing/requirements.ts";

const ROOT = `${import.meta.dirname}/../..`;
const needs = await requires("namespaces", "tun");

interface Step {
  readonly capBytesPerSecond: number;
}

interface Sample extends Step {
  readonly wireBytesPerSecond: number;
}

Deno.test("the bench of shared links follows a cap that changes, on the wire", needs, async () => {
  const out = await Deno.makeTempDir();
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "bench", "--quick", "--only", "share", "--out", out],
      cwd: ROOT,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { results } = JSON.parse(await Deno.readTextFile(`${out}/share.json`));
    const { steps, series }: { steps: Step[]; series: Sample[] } = results[0].result;
    assert.equal(steps.length, 4);
    for (const { capBytesPerSecond } of steps) {
      const meanwhile = series.filter((sample) => sample.capBytesPerSecond === capBytesPerSecond);
      const most = Math.max(...meanwhile.map((sample) => sample.wireBytesPerSecond));
      assert.ok(most > 0, `nothing was sent under a cap of ${capBytesPerSecond}`);
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("rateBetween() is by the samples within, and nothing without two of them", () => {
  const totals = [0, 100, 200, 300].map((epochMs) => ({ epochMs, bytes: epochMs * 5 }));
  assert.equal(rateBetween(totals, 50, 400), 5_000);
  assert.equal(rateBetween(totals, 250, 400), 0);
  assert.equal(rateBetween([], 0, 1_000), 0);
});

Deno.test("a profile without loss keeps its rate and its delay", async () => {
  const { forward } = await shapedProfile("continental/lossless");
  assert.deepEqual(
    [forward.rateBitsPerSecond, forward.delayMs, forward.lossRatio],
    [200e6, 15, 0],
  );
  await assert.rejects(shapedProfile("continental/fast"), TypeError);
});
