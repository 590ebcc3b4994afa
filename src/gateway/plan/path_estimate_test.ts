import assert from "node:assert/strict";
import fc from "fast-check";
import type { PathMeasurement, PathProbe } from "../../link/peer_link.ts";
import { ENDS } from "./ends.ts";
import { ASSUMED_RATE, estimatePath } from "./path_estimate.ts";

const UNKNOWN: PathMeasurement = {
  roundTripMs: null,
  minRoundTripMs: null,
  bottleneckBytesPerSecond: null,
  goodputBytesPerSecond: null,
  lossRatio: null,
  queueMs: null,
  jitterMs: null,
  silentMs: null,
};

function probe(changes: Partial<PathProbe> = {}): PathProbe {
  return {
    source: "filler",
    seconds: 2,
    sentBytes: 4_000_000,
    isSettled: true,
    bottleneckBytesPerSecond: 2_600_000,
    goodputBytesPerSecond: 2_400_000,
    goodputRange: { low: 2_200_000, high: 2_500_000 },
    roundTripMs: 84,
    minRoundTripMs: 80,
    jitterMs: 2,
    lossRatio: 0.01,
    ...changes,
  };
}

const remarks = (...args: Parameters<typeof estimatePath>) =>
  estimatePath(...args).remarks.join("\n");

Deno.test("a settled probe is what is expected, with its swings and some error around it", () => {
  const { rate, path, isCapped, roundTripMs } = estimatePath(probe(), UNKNOWN, null);
  assert.equal(rate.source, "probed");
  assert.equal(rate.bytesPerSecond.expected, 2_400_000);
  assert.ok(rate.bytesPerSecond.low > 2_500_000 && rate.bytesPerSecond.high < 2_300_000);
  assert.equal(roundTripMs, 80);
  assert.equal(isCapped, false);
  assert.equal(path.expected.segments[0].roundTripMs, 80);
  assert.equal(path.expected.lossRatio, 0.01);
  assert.equal(remarks(probe(), UNKNOWN, null), "");
});

Deno.test("a probe that was still rising counts by its latest pieces, and may be far too low", () => {
  const settled = estimatePath(probe(), UNKNOWN, null).rate.bytesPerSecond;
  const rising = estimatePath(probe({ isSettled: false }), UNKNOWN, null).rate.bytesPerSecond;
  assert.ok(rising.low > settled.low && rising.expected > settled.expected);
  assert.ok(rising.high < settled.high);
  assert.match(remarks(probe({ isSettled: false }), UNKNOWN, null), /may carry more/);
});

Deno.test("beside a move half of the path is expected, and between a third and all of it", () => {
  const beside = probe({ source: "moves", isSettled: false, goodputBytesPerSecond: 900_000 });
  const { rate } = estimatePath(beside, UNKNOWN, null);
  assert.equal(rate.source, "measured");
  assert.equal(rate.bytesPerSecond.expected, 1_300_000);
  assert.equal(rate.bytesPerSecond.low, 2_600_000);
  assert.match(remarks(beside, UNKNOWN, null), /a half is expected/);
});

Deno.test("a path that nothing has measured gets assumed rates, named as such", () => {
  for (
    const unseen of [null, probe({ goodputBytesPerSecond: 0, bottleneckBytesPerSecond: null })]
  ) {
    const { rate } = estimatePath(unseen, UNKNOWN, null);
    assert.deepEqual(rate, { source: "assumed", bytesPerSecond: ASSUMED_RATE });
  }
  assert.match(remarks(null, UNKNOWN, null), /20 Mbit\/s are assumed, between 5 and 100/);
  assert.match(remarks(null, UNKNOWN, null), /round trip is not known/);
});

Deno.test("without a probe the estimate of an earlier move counts", () => {
  const { rate } = estimatePath(null, { ...UNKNOWN, bottleneckBytesPerSecond: 1_000_000 }, null);
  assert.equal(rate.source, "measured");
  assert.equal(rate.bytesPerSecond.expected, 1_000_000);
});

Deno.test("a cap below the path limits it, whether it was probed under the cap or not", () => {
  const capped = estimatePath(null, UNKNOWN, 1_000_000);
  // Headers of every layer count, and are no payload.
  assert.equal(capped.rate.bytesPerSecond.low, 940_000);
  assert.ok(capped.isCapped);
  assert.match(remarks(null, UNKNOWN, 1_000_000), /cap of 1.0 MB\/s/);
  assert.ok(estimatePath(probe(), UNKNOWN, 2_500_000).isCapped);
  assert.equal(estimatePath(probe(), UNKNOWN, 5_000_000).isCapped, false);
});

Deno.test("rates are positive and in order whatever a probe says", () => {
  const figure = fc.option(fc.double({ min: 0, max: 1e10, noNaN: true }));
  const seen = fc.record({
    source: fc.constantFrom("filler", "moves"),
    isSettled: fc.boolean(),
    bottleneckBytesPerSecond: figure,
    goodputBytesPerSecond: figure,
  }, { noNullPrototype: true });
  const cap = fc.option(fc.integer({ min: 1, max: 1e10 }));
  fc.assert(fc.property(fc.option(seen), cap, (seen, cap) => {
    const goodput = seen?.goodputBytesPerSecond ?? 0;
    const goodputRange = seen && { low: 0.5 * goodput, high: 1.5 * goodput };
    const { rate, path } = estimatePath(
      seen && probe({ ...seen as Partial<PathProbe>, goodputRange }),
      UNKNOWN,
      cap,
    );
    const [low, expected, high] = ENDS.map((end) => rate.bytesPerSecond[end]);
    assert.ok(low >= expected && expected >= high && high > 0, `${low} ${expected} ${high}`);
    for (const end of ENDS) assert.ok(path[end].segments[0].bytesPerSecond > 0);
  }));
});
