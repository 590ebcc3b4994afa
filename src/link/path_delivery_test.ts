import assert from "node:assert/strict";
import { DeliveryRate } from "./path_delivery.ts";

/** Loss of the last marks, after marks that came in late and then some that were lost. */
function lossAfterOvertaking(minRoundTripMs: number): number | null {
  const delivery = new DeliveryRate();
  for (let number = 1; number <= 90; number++) delivery.markSent(number * 10, 1_000);
  const report = (lastMark: number, markCount: number) =>
    delivery.take({
      lastMark,
      markCount,
      lastMarkAtMs: lastMark * 10 + minRoundTripMs / 2,
      markBytes: markCount * 1_000,
      kind: "feedback",
      nowMs: lastMark * 10 + minRoundTripMs / 2,
      consumedBytes: 0,
      laneBytes: [],
      transitMs: minRoundTripMs / 2,
      echoedSentMs: lastMark * 10,
      heldMs: 0,
    }, minRoundTripMs);
  report(10, 5);
  report(20, 10);
  report(50, 50);
  return report(90, 85)?.newLossRatio ?? null;
}

Deno.test("on a very short path marks that came in late once hide no loss", () => {
  assert.equal(lossAfterOvertaking(4), 5 / 40);
});

Deno.test("on a long path as many marks as ever came in late are not taken for lost", () => {
  assert.equal(lossAfterOvertaking(80), 0);
});
