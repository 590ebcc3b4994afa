import assert from "node:assert/strict";
import fc from "fast-check";
import { type LastBytes, lossRecoveryMs, pauseRecoveryMs } from "./loss_recovery.ts";

const satellite: LastBytes = {
  wireBytes: 300_000,
  bytesPerSecond: 2_500_000,
  roundTripMs: 600,
  lossRatio: 0.005,
};

Deno.test("nothing is recovered where nothing is lost, or where that is not known", () => {
  assert.equal(lossRecoveryMs({ ...satellite, lossRatio: 0 }), 0);
  assert.equal(lossRecoveryMs({ ...satellite, lossRatio: null }), 0);
  assert.equal(lossRecoveryMs({ ...satellite, roundTripMs: null }), 0);
});

Deno.test("a loss that is more likely than not costs a round trip, a rarer one nothing", () => {
  // 250 packets of which each two hundredth is lost.
  const likely = lossRecoveryMs(satellite);
  assert.ok(likely > 500 && likely < 660, `${likely}`);
  // 50 of them.
  assert.equal(lossRecoveryMs({ ...satellite, wireBytes: 60_000 }), 0);
});

Deno.test("what was on its way before may be lost as well, the less of it the longer ago", () => {
  // 50 packets in the pause, and the link half used before it.
  const few = { ...satellite, wireBytes: 60_000, sentBeforeBytesPerSecond: 1_250_000 };
  const busy = lossRecoveryMs(few);
  assert.ok(busy > 450 && busy < 600, `${busy}`);
  assert.ok(lossRecoveryMs({ ...few, sentBeforeBytesPerSecond: 300_000 }) < busy - 100);
  assert.equal(lossRecoveryMs({ ...few, sentBeforeBytesPerSecond: 50_000 }), 0);
});

Deno.test("the figure is the median of what a path with independent losses does", () => {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const packets = Math.floor(satellite.wireBytes / 1_200);
  const seen = Array.from({ length: 4_000 }, () => {
    for (let after = 0; after < packets; after++) {
      if (random() >= 0.005) continue;
      return Math.max(0, 660 - after * 1_200 / 2_500);
    }
    return 0;
  }).sort((a, b) => a - b);
  const median = seen[2_000];
  assert.ok(Math.abs(median - lossRecoveryMs(satellite)) < 15, `${median}`);
});

Deno.test("it is never less than nothing, nor more than the recovery, and grows with the loss", () => {
  fc.assert(
    fc.property(
      fc.nat(1e8),
      fc.integer({ min: 1, max: 1e9 }),
      fc.double({ min: 0, max: 0.5, noNaN: true }),
      fc.double({ min: 0, max: 0.49, noNaN: true }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      (wireBytes, bytesPerSecond, lossRatio, more, likelihood) => {
        const of = (lossRatio: number) =>
          lossRecoveryMs({ wireBytes, bytesPerSecond, roundTripMs: 100, lossRatio }, likelihood);
        const found = of(lossRatio);
        assert.ok(found >= 0 && found <= 110);
        assert.ok(of(lossRatio + more) >= found);
      },
    ),
  );
});

Deno.test("what is lost early in a pause is repeated while the machine gives its state away", () => {
  const all = lossRecoveryMs(satellite);
  assert.equal(pauseRecoveryMs(satellite, 48_000, 90), all - 45);
  // A path so lossy that the last packets are hit as well.
  const worse = { ...satellite, lossRatio: 0.05 };
  const ofDevice = lossRecoveryMs({ ...worse, wireBytes: 48_000 });
  assert.ok(ofDevice > 0);
  assert.equal(pauseRecoveryMs(worse, 48_000, 90), Math.max(ofDevice, lossRecoveryMs(worse) - 45));
  assert.equal(pauseRecoveryMs({ ...satellite, lossRatio: 0 }, 48_000, 90), 0);
});
