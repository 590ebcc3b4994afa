import assert from "node:assert/strict";
import { LossSeen } from "./loss_seen.ts";

function seen(ratios: readonly (number | null)[], everyMs = 1_000): LossSeen {
  const loss = new LossSeen();
  ratios.forEach((ratio, n) => loss.observe(n * everyMs, ratio));
  return loss;
}

Deno.test("seconds with many losses or none do not count for more than others", () => {
  assert.ok(Math.abs(seen([0.001, 0.001, 0.05, 0.001, 0.001]).ratio! - 0.001) < 1e-9);
  const ratio = seen([0.01, 0.012, 0.2, 0.008, 0.011]).ratio!;
  assert.ok(ratio > 0.009 && ratio < 0.011, `${ratio}`);
});

Deno.test("what is not measured yet is not known, and no loss either", () => {
  assert.equal(seen([]).ratio, null);
  assert.equal(seen([null, null]).ratio, null);
  assert.equal(seen([null, 0.01]).ratio, 0.01);
});

Deno.test("one sample a second counts, however often it is looked at", () => {
  // Eight looks within each second: two of five samples are of the first kind.
  const loss = seen([...Array(15).fill(0), ...Array(24).fill(0.03)], 125);
  assert.ok(Math.abs(loss.ratio! - 0.01) < 1e-9);
});

Deno.test("a path that became worse is believed when most of a minute was so", () => {
  assert.equal(seen([...Array(60).fill(0), ...Array(30).fill(0.02)]).ratio, 0);
  assert.ok(seen([...Array(60).fill(0), ...Array(50).fill(0.02)]).ratio! > 0.013);
  assert.ok(seen([...Array(60).fill(0), ...Array(60).fill(0.02)]).ratio! > 0.0199);
});

Deno.test("after a gap everything is new", () => {
  const loss = seen([0.02]);
  loss.forget();
  assert.equal(loss.ratio, null);
  loss.observe(10, 0.01);
  assert.equal(loss.ratio, 0.01);
});
