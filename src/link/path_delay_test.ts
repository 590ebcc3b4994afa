import assert from "node:assert/strict";
import type { LinkModel } from "../emulator/link_model.ts";
import { parseProfile } from "../emulator/profile.ts";
import { simulatePacedPath } from "../testing/pacer_simulation.ts";
import { PathDelay } from "./path_delay.ts";

const STEP_MS = 20;
const FORWARD_MS = 40;
const BACKWARD_MS = 35;
const OFFSET_MS = 5_000;

interface Waits {
  /** Queue in front of a stamp that leaves at this time, ms. */
  readonly forwardMs?: (ms: number) => number;
  readonly backwardMs?: (ms: number) => number;
  /** One way without a queue; there. */
  readonly wayMs?: number;
  /** How much faster the receiver's clock runs. */
  readonly drift?: number;
}

/** Feeds a report every 20 ms, each with one stamp, and returns the queue after the last. */
function feed(delay: PathDelay, fromMs: number, toMs: number, waits: Waits = {}): number | null {
  const { forwardMs = () => 0, backwardMs = () => 0, wayMs = FORWARD_MS, drift = 0 } = waits;
  for (let sentMs = fromMs; sentMs < toMs; sentMs += STEP_MS) {
    const arrivedMs = sentMs + wayMs + forwardMs(sentMs);
    const receiverMs = OFFSET_MS + arrivedMs * (1 + drift);
    const heldMs = 2;
    const backMs = arrivedMs + heldMs + Math.min(wayMs, BACKWARD_MS) + backwardMs(arrivedMs);
    delay.take({
      kind: "feedback",
      nowMs: receiverMs + heldMs,
      echoedSentMs: sentMs,
      heldMs,
      markCount: 0,
      markBytes: 0,
      lastMark: 0,
      lastMarkAtMs: NaN,
      transitMs: NaN,
      consumedBytes: 0,
      laneBytes: [],
    }, backMs);
  }
  return delay.queueMs(toMs + FORWARD_MS + BACKWARD_MS);
}

const isNear = (value: number | null, expected: number, toleranceMs: number) =>
  assert.ok(
    value !== null && Math.abs(value - expected) <= toleranceMs,
    `${value} should be ${expected} within ${toleranceMs}`,
  );

Deno.test("nothing is known before the first report, and of now nothing without one for 2 s", () => {
  const delay = new PathDelay();
  assert.equal(delay.queueMs(0), null);
  assert.equal(delay.jitterMs, null);
  isNear(feed(delay, 0, 1_000), 0, 1e-6);
  assert.equal(delay.queueMs(4_000), null);
  isNear(feed(delay, 10_000, 11_000, { forwardMs: () => 30 }), 30, 1e-6);
});

Deno.test("a queue is told within some reports, and as soon when it is gone", () => {
  const delay = new PathDelay();
  feed(delay, 0, 5_000);
  isNear(feed(delay, 5_000, 5_200, { forwardMs: () => 25 }), 25, 1e-6);
  isNear(feed(delay, 5_200, 5_220), 0, 1e-6);
});

Deno.test("on a short path a queue of a moment is one, on a far path it is a late program", () => {
  const wave = (ms: number) => ms % 100 < 60 ? 4 : 0;
  const queues = [1, FORWARD_MS].map((wayMs) => {
    const delay = new PathDelay();
    return [1_040, 1_080].map((untilMs) => feed(delay, 0, untilMs, { forwardMs: wave, wayMs })!);
  });
  assert.deepEqual(queues.map((both) => both.map(Math.round)), [[4, 0], [0, 0]]);
});

Deno.test("a queue that stays for two minutes is a queue to the end", () => {
  const delay = new PathDelay();
  feed(delay, 0, 2_000);
  isNear(feed(delay, 2_000, 122_000, { forwardMs: () => 60 }), 60, 1e-6);
});

Deno.test("a queue on the way back is none of ours", () => {
  const delay = new PathDelay();
  feed(delay, 0, 2_000);
  isNear(feed(delay, 2_000, 4_000, { backwardMs: () => 80 }), 0, 1e-6);
});

Deno.test("clocks that drift apart make no queue, nor hide one", () => {
  // 100 ppm are 18 ms in the three minutes of the base.
  for (const drift of [1e-4, -1e-4]) {
    const delay = new PathDelay();
    isNear(feed(delay, 0, 400_000, { drift }), 0, 1e-6);
    isNear(feed(delay, 400_000, 401_000, { drift, forwardMs: () => 50 }), 50, 20);
  }
});

Deno.test("jitter is how much one delay differs from the next; a slow queue has little", () => {
  const jittery = new PathDelay();
  let turn = 0;
  feed(jittery, 0, 10_000, { forwardMs: () => turn++ % 2 === 0 ? 0 : 8 });
  isNear(jittery.jitterMs, 8, 0.1);
  const slow = new PathDelay();
  feed(slow, 0, 10_000, { forwardMs: (ms) => ms / 100 });
  isNear(slow.jitterMs, 0.2, 0.01);
});

Deno.test("a stamp that is echoed again counts once", () => {
  const delay = new PathDelay();
  feed(delay, 0, 1_000);
  const again = {
    kind: "feedback" as const,
    nowMs: OFFSET_MS + 2_000,
    echoedSentMs: 980,
    heldMs: 960,
    markCount: 0,
    markBytes: 0,
    lastMark: 0,
    lastMarkAtMs: NaN,
    transitMs: NaN,
    consumedBytes: 0,
    laneBytes: [],
  };
  delay.take(again, 3_500);
  assert.equal(delay.queueMs(3_600), null, "the last stamp is too old");
});

Deno.test("other traffic's queue is seen after the pacer took it for the path", () => {
  const about = { name: "crowded", description: "A test", source: "A test" };
  const forward = { rateBitsPerSecond: 20_000_000, delayMs: 40, queueBytes: 250_000 };
  // From 4 s on others keep the queue at 60 ms, whatever we do.
  const changes = Array.from({ length: 8_000 / 5 }, (_, i) => 4_000 + 5 * i).map((atMs) => ({
    atMs,
    apply: (link: LinkModel) => {
      do link.offer(1_500, atMs); while (link.arrivalMs < atMs + forward.delayMs + 60);
    },
  }));
  const result = simulatePacedPath({
    profile: parseProfile(JSON.stringify({ ...about, forward }), "test.json"),
    seconds: 12,
    seed: 1,
    offeredBytesPerSecond: 1_000_000,
    changes,
  });
  assert.ok(result.queueMs[35] !== null && result.queueMs[35] < 10, `${result.queueMs[35]} before`);
  for (const queueMs of result.queueMs.slice(50)) {
    assert.ok(queueMs !== null && queueMs > 30, `${queueMs} while others fill the queue`);
  }
  assert.ok(result.pacer.queueMs < 30, `${result.pacer.queueMs}: the pacer lives with it`);
});
