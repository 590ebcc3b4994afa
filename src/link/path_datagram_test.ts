import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodePathDatagram,
  encodeFeedback,
  encodeMark,
  encodePing,
  type Feedback,
} from "./path_datagram.ts";
import { DeliveryRate } from "./path_delivery.ts";
import { PathEstimate } from "./path_estimate.ts";
import { PathReceiver } from "./path_receiver.ts";
import { WindowedLeast } from "./path_window.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const ms = fc.double({ noNaN: true, noDefaultInfinity: true });

Deno.test("every path datagram comes back as it was", () => {
  fc.assert(fc.property(u32, ms, u32, (number, sentMs, chunkBytes) => {
    assert.deepEqual(
      decodePathDatagram(encodeMark({ number, sentMs, chunkBytes })),
      { kind: "mark", number, sentMs, chunkBytes },
    );
    assert.deepEqual(decodePathDatagram(encodePing(sentMs)), { kind: "ping", sentMs });
  }));
  const feedbacks = fc.record({
    nowMs: ms,
    echoedSentMs: fc.oneof(ms, fc.constant(NaN)),
    heldMs: ms,
    markCount: u32,
    markBytes: ms,
    lastMark: u32,
    lastMarkAtMs: fc.oneof(ms, fc.constant(NaN)),
    transitMs: fc.oneof(ms, fc.constant(NaN)),
    consumedBytes: ms,
    laneBytes: fc.array(ms, { maxLength: 32 }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(feedbacks, (feedback) => {
    const decoded = decodePathDatagram(encodeFeedback(feedback));
    assert.deepEqual(decoded, { kind: "feedback", ...feedback });
  }));
});

Deno.test("anything else is no path datagram, and no error", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    decodePathDatagram(bytes);
  }));
  const feedback = encodeFeedback(report({ laneBytes: [1, 2, 3] }));
  for (
    const bytes of [encodePing(1), encodeMark({ number: 1, sentMs: 1, chunkBytes: 1 }), feedback]
  ) {
    assert.equal(decodePathDatagram(bytes.subarray(0, -1)), null);
    assert.equal(decodePathDatagram(new Uint8Array([...bytes, 0])), null);
  }
});

function report(change: Partial<Feedback>): Omit<Feedback, "kind"> {
  return {
    nowMs: 0,
    echoedSentMs: NaN,
    heldMs: 0,
    markCount: 0,
    markBytes: 0,
    lastMark: 0,
    lastMarkAtMs: NaN,
    transitMs: NaN,
    consumedBytes: 0,
    laneBytes: [],
    ...change,
  };
}

Deno.test("PathReceiver reports totals, the newest stamp and the least transit since", () => {
  const receiver = new PathReceiver();
  receiver.mark({ kind: "mark", number: 2, sentMs: 10, chunkBytes: 100 }, 1_060);
  receiver.mark({ kind: "mark", number: 1, sentMs: 5, chunkBytes: 50 }, 1_061);
  const first = receiver.feedback(1_070, 7, [1, 2]);
  assert.deepEqual(first, {
    nowMs: 1_070,
    echoedSentMs: 10,
    heldMs: 10,
    markCount: 2,
    markBytes: 150,
    lastMark: 2,
    lastMarkAtMs: 1_061,
    transitMs: 1_050,
    consumedBytes: 7,
    laneBytes: [1, 2],
  });
  assert.equal(receiver.feedback(1_080, 7, []).transitMs, NaN);
  receiver.ping(30, 1_090);
  assert.equal(receiver.feedback(1_095, 7, []).echoedSentMs, 30);
});

Deno.test("PathEstimate measures round trip, loss and goodput from reports in any order", () => {
  const estimate = new PathEstimate();
  const take = (nowMs: number, change: Partial<Feedback>) =>
    estimate.take({ kind: "feedback", ...report(change) }, nowMs);
  assert.equal(estimate.roundTripMs, null);
  assert.equal(estimate.lossRatio(), null);
  take(100, { nowMs: 1, echoedSentMs: 40, heldMs: 10, lastMark: 100, markCount: 100 });
  assert.equal(estimate.roundTripMs, 50);
  take(600, {
    nowMs: 2,
    echoedSentMs: 530,
    heldMs: 10,
    lastMark: 200,
    markCount: 190,
    laneBytes: [0, 5_000],
  });
  assert.equal(estimate.minRoundTripMs, 50);
  assert.ok(Math.abs(estimate.lossRatio()! - 0.1) < 1e-9);
  assert.equal(estimate.goodputBytesPerSecond(600), 10_000);
  assert.equal(estimate.goodputBytesPerSecond(2_000), 0);
  assert.equal(take(700, { nowMs: 2, lastMark: 300, markCount: 0 }), false, "an old report");
  assert.equal(take(700, { nowMs: NaN }), false);
  assert.equal(take(700, { nowMs: 3, laneBytes: [-1] }), false);
  assert.equal(take(700, { nowMs: 3, laneBytes: [Infinity] }), false);
});

Deno.test("DeliveryRate samples what the path carried, and settles what is lost", () => {
  const delivery = new DeliveryRate();
  const receiver = new PathReceiver();
  let arrived = 0;
  let sample = null;
  // 1,000 bytes a ms for 400 ms over a path of 50 ms; every tenth mark is lost after 200 ms.
  for (let ms = 0; ms < 400; ms++) {
    const number = delivery.markSent(ms, 1_000);
    assert.equal(number, ms + 1);
    if (ms > 200 && ms % 10 === 0) continue;
    receiver.mark({ kind: "mark", number, sentMs: ms, chunkBytes: 1_000 }, ms + 50);
    if (++arrived % 10 !== 0) continue;
    const feedback = { kind: "feedback" as const, ...receiver.feedback(ms + 50, 0, []) };
    assert.ok(delivery.isPlausible(feedback));
    sample = delivery.take(feedback, 100) ?? sample;
    if (ms === 190) assert.equal(Math.round(sample!.carriedBytesPerSecond), 1_000_000);
  }
  assert.equal(Math.round(sample!.sentBytesPerSecond), 1_000_000);
  const carried = sample!.carriedBytesPerSecond;
  assert.ok(carried > 850_000 && carried < 950_000, `${carried}`);

  for (let i = 0; i < 5; i++) delivery.markSent(500, 1_000);
  assert.ok(delivery.inFlightBytes >= 5_000);
  receiver.ping(600, 650);
  delivery.take({ kind: "feedback", ...receiver.feedback(650, 0, []) }, 100);
  assert.equal(delivery.inFlightBytes, 0, "a ping sent later was answered: they are lost");
  const impossible = { ...receiver.feedback(660, 0, []), lastMark: 10_000 };
  assert.equal(delivery.isPlausible({ kind: "feedback", ...impossible }), false);
});

Deno.test("WindowedLeast forgets what is older than its window", () => {
  const least = new WindowedLeast(1_000);
  assert.equal(least.value, null);
  least.add(5, 0);
  least.add(7, 600);
  assert.equal(least.value, 5);
  least.add(9, 1_100);
  assert.equal(least.value, 7);
  least.reset(20, 1_200);
  assert.equal(least.value, 20);
});
