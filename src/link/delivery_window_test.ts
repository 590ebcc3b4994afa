import assert from "node:assert/strict";
import { hastyWindowMs, steadyWindowMs } from "./delivery_window.ts";

Deno.test("a rate is averaged over half a round trip, within bounds", () => {
  const cases = [[4, 80], [160, 80], [240, 120], [600, 150]];
  for (const [minRoundTripMs, ms] of cases) assert.equal(steadyWindowMs(minRoundTripMs), ms);
});

Deno.test("a start averages over less, as far as the path's delays allow", () => {
  const cases = [[40, 0, 10], [200, 1, 25], [200, 5, 40], [80, 15, 80], [1_200, 0, 150]];
  for (const [minRoundTripMs, jitterMs, ms] of cases) {
    assert.equal(hastyWindowMs(minRoundTripMs, jitterMs), ms, `${minRoundTripMs} ${jitterMs}`);
  }
});
