import assert from "node:assert/strict";
import fc from "fast-check";
import { DROP_CAUSES } from "./counters.ts";
import { burstLossOf, meanLossRatio } from "./gilbert_elliott.ts";
import { LinkModel, type Verdict } from "./link_model.ts";
import type { DirectionSettings, TimelineEvent, WanProfile } from "./settings.ts";

const CLEAN: DirectionSettings = {
  rateBitsPerSecond: 100e6,
  delayMs: 50,
  jitterMs: 0,
  reorder: false,
  lossRatio: 0,
  burstLoss: null,
  duplicateRatio: 0,
  corruptRatio: 0,
  queueBytes: 1_250_000,
};

function profileOf(
  settings: Partial<DirectionSettings>,
  timeline: Partial<TimelineEvent>[] = [],
  timelinePeriodMs: number | null = null,
): WanProfile {
  const both = { ...CLEAN, ...settings };
  return {
    name: "test",
    description: "test",
    source: "test",
    forward: both,
    backward: both,
    timeline: timeline.map((event) => ({
      atMs: 0,
      direction: "both",
      set: null,
      outageMs: 0,
      outageMode: "drop",
      ...event,
    })),
    timelinePeriodMs,
  };
}

const linkOf = (...args: Parameters<typeof profileOf>) =>
  new LinkModel(profileOf(...args), "forward", 1, 0);

/** Offers equal packets at a steady pace; gives what became of each. */
function offerSteadily(
  link: LinkModel,
  { packetCount, packetBytes = 1000, everyMs = 1 }: {
    packetCount: number;
    packetBytes?: number;
    everyMs?: number;
  },
): { atMs: number; verdict: Verdict; arrivalMs: number }[] {
  return Array.from({ length: packetCount }, (_, index) => {
    const atMs = index * everyMs;
    const verdict = link.offer(packetBytes, atMs);
    return { atMs, verdict, arrivalMs: link.arrivalMs };
  });
}

const arrived = (verdict: Verdict) => verdict === "delivered" || verdict === "duplicated";
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Four standard deviations: a right model fails one seed in 15,000, and the seed is fixed. */
function assertRatio(observed: number, expected: number, sampleCount: number, what: string) {
  const tolerance = 4 * Math.sqrt(expected * (1 - expected) / sampleCount);
  assert(Math.abs(observed - expected) <= tolerance, `${what}: ${observed}, not ${expected}`);
}

const anySettings: fc.Arbitrary<DirectionSettings> = fc.record({
  rateBitsPerSecond: fc.integer({ min: 8_000, max: 1e9 }),
  delayMs: fc.double({ min: 20, max: 400, noNaN: true }),
  jitterMs: fc.double({ min: 0, max: 20, noNaN: true }),
  reorder: fc.boolean(),
  lossRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  burstLoss: fc.option(fc.record({
    goodToBadRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    badToGoodRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    lossInGoodRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    lossInBadRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  })),
  duplicateRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  corruptRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  queueBytes: fc.integer({ min: 1_500, max: 100_000 }),
});

const anyPackets = fc.array(
  fc.tuple(fc.integer({ min: 29, max: 1500 }), fc.double({ min: 0, max: 5, noNaN: true })),
  { maxLength: 400 },
);

const anyTimeline = fc.array(
  fc.record({
    atMs: fc.integer({ min: 0, max: 900 }),
    outageMs: fc.integer({ min: 0, max: 90 }),
    outageMode: fc.constantFrom("drop" as const, "hold" as const),
    set: fc.option(fc.record({ delayMs: fc.integer({ min: 20, max: 300 }) })),
  }),
  { maxLength: 4 },
);

Deno.test("every packet offered is delivered or dropped for one counted reason", () => {
  fc.assert(fc.property(anySettings, anyTimeline, anyPackets, (settings, timeline, packets) => {
    const link = linkOf(settings, timeline, 1_000);
    let nowMs = 0;
    for (const [bytes, gapMs] of packets) link.offer(bytes, nowMs += gapMs);
    const counters = link.counters();
    const sum = (of: Record<string, number>) => DROP_CAUSES.reduce((n, cause) => n + of[cause], 0);
    assert.equal(counters.offeredPackets, packets.length);
    assert.equal(counters.offeredPackets, counters.deliveredPackets + sum(counters.droppedPackets));
    assert.equal(counters.offeredBytes, counters.deliveredBytes + sum(counters.droppedBytes));
    assert.equal(counters.wireBytes, counters.offeredBytes - counters.droppedBytes.queue);
  }));
});

Deno.test("the queue never holds more than its limit", () => {
  fc.assert(fc.property(anySettings, anyTimeline, anyPackets, (settings, timeline, packets) => {
    const link = linkOf(settings, timeline, 1_000);
    let nowMs = 0;
    for (const [bytes, gapMs] of packets) {
      link.offer(bytes, nowMs += gapMs);
      assert(link.queuedBytes(nowMs) <= settings.queueBytes);
    }
    assert(link.counters().queueBytesMax <= settings.queueBytes);
  }));
});

Deno.test("without reorder packets arrive in order, whatever changes meanwhile", () => {
  fc.assert(fc.property(anySettings, anyTimeline, anyPackets, (settings, timeline, packets) => {
    const link = linkOf({ ...settings, reorder: false }, timeline, 1_000);
    let nowMs = 0;
    let latestMs = 0;
    for (const [index, [bytes, gapMs]] of packets.entries()) {
      if (index === 100) link.change({ delayMs: 20, jitterMs: 3 });
      const verdict = link.offer(bytes, nowMs += gapMs);
      if (!arrived(verdict)) continue;
      assert(link.arrivalMs >= latestMs, `${link.arrivalMs} before ${latestMs}`);
      latestMs = verdict === "duplicated" ? link.secondArrivalMs : link.arrivalMs;
    }
  }));
});

Deno.test("the same seed gives the same fate to every packet, another seed another one", () => {
  fc.assert(
    fc.property(anySettings, anyTimeline, anyPackets, fc.nat(), (settings, timeline, all, seed) => {
      const run = (seed: number) => {
        const link = new LinkModel(profileOf(settings, timeline), "forward", seed, 0);
        let nowMs = 0;
        return all.map(([bytes, gapMs]) => [link.offer(bytes, nowMs += gapMs), link.arrivalMs]);
      };
      assert.deepEqual(run(seed), run(seed));
    }),
  );
  const fates = (seed: number, direction: "forward" | "backward") => {
    const link = new LinkModel(profileOf({ lossRatio: 0.5 }), direction, seed, 0);
    return offerSteadily(link, { packetCount: 64 }).map((packet) => packet.verdict).join();
  };
  assert.notEqual(fates(1, "forward"), fates(2, "forward"));
  assert.notEqual(fates(1, "forward"), fates(1, "backward"));
});

Deno.test("a lone packet takes its serialisation and the delay", () => {
  const link = new LinkModel(profileOf({ rateBitsPerSecond: 8e6 }), "forward", 1, 500);
  assert.equal(link.offer(1000, 700), "delivered");
  assert.equal(link.arrivalMs, 700 + 1 + 50);
});

Deno.test("a saturated link delivers at exactly its rate", () => {
  for (const rateBitsPerSecond of [5e6, 100e6, 1e9]) {
    const link = linkOf({ rateBitsPerSecond, queueBytes: 100_000 });
    const everyMs = 1000 * 8000 / rateBitsPerSecond / 2;
    const got = offerSteadily(link, { packetCount: 20_000, everyMs })
      .filter((packet) => arrived(packet.verdict));
    const seconds = (got.at(-1)!.arrivalMs - got[0].arrivalMs) / 1000;
    const observed = (got.length - 1) * 8000 / seconds;
    assert(Math.abs(observed / rateBitsPerSecond - 1) < 1e-6, `${observed}`);
    const { droppedPackets } = link.counters();
    assert(Math.abs(droppedPackets.queue / 20_000 - 0.5) < 0.01, "half of twice the rate");
  }
});

Deno.test("a packet waits for those before it, and at most for one full queue", () => {
  const link = linkOf({ rateBitsPerSecond: 8e6, queueBytes: 10_000 });
  const got = Array.from({ length: 20 }, () => link.offer(1000, 0));
  assert.deepEqual(got, [...Array(10).fill("delivered"), ...Array(10).fill("queue")]);
  assert.equal(link.arrivalMs, 10 + 50);
  assert.equal(link.offer(1000, 1), "delivered", "one packet has left");
  assert.equal(link.offer(1000, 1), "queue");
});

Deno.test("measured loss, corruption and duplication are those of the profile", () => {
  const ratios = { lossRatio: 0.01, corruptRatio: 0.02, duplicateRatio: 0.03 };
  const link = linkOf(ratios);
  const packetCount = 200_000;
  offerSteadily(link, { packetCount });
  const { droppedPackets, duplicatedPackets, deliveredPackets } = link.counters();
  assertRatio(droppedPackets.loss / packetCount, 0.01, packetCount, "loss");
  const kept = packetCount - droppedPackets.loss;
  assertRatio(droppedPackets.corrupt / kept, 0.02, kept, "corruption");
  assertRatio(duplicatedPackets / deliveredPackets, 0.03, deliveredPackets, "duplication");
});

Deno.test("independent losses do not cluster", () => {
  const lost = offerSteadily(linkOf({ lossRatio: 0.1 }), { packetCount: 200_000 })
    .map((packet) => packet.verdict === "loss");
  const afterLoss = lost.filter((_, index) => lost[index - 1]);
  assertRatio(mean(afterLoss.map(Number)), 0.1, afterLoss.length, "loss right after a loss");
});

Deno.test("burst loss has the mean and the burst length it was made for", () => {
  for (const [lossRatio, meanBurstPackets] of [[0.01, 8], [0.05, 3], [0.002, 20]] as const) {
    const burstLoss = burstLossOf(lossRatio, meanBurstPackets);
    assert(Math.abs(meanLossRatio(burstLoss) - lossRatio) < 1e-12);
    const packetCount = 400_000;
    const lost = offerSteadily(linkOf({ burstLoss }), { packetCount })
      .map((packet) => packet.verdict === "burst");
    const lostCount = lost.filter(Boolean).length;
    const burstCount = lost.filter((is, index) => is && !lost[index - 1]).length;
    // Burst lengths are geometric: their standard deviation is close to their mean.
    const tolerance = 4 / Math.sqrt(burstCount);
    assert(Math.abs(lostCount / burstCount / meanBurstPackets - 1) < tolerance, "burst length");
    assert(Math.abs(lostCount / packetCount / lossRatio - 1) < 2 * tolerance, "mean loss");
  }
});

Deno.test("burstLossOf() refuses what no link can do", () => {
  for (const [loss, length] of [[0, 8], [1, 8], [0.5, 0.5], [0.9, 1], [NaN, 2]]) {
    assert.throws(() => burstLossOf(loss, length), RangeError);
  }
});

Deno.test("jitter keeps the mean delay and its range, with and without reordering", () => {
  for (const reorder of [true, false]) {
    const got = offerSteadily(linkOf({ jitterMs: 10, reorder, rateBitsPerSecond: 1e9 }), {
      packetCount: 400_000,
      everyMs: 0.5,
    });
    const delays = got.map((packet) => packet.arrivalMs - packet.atMs - 0.008);
    const range = [Math.min(...delays.slice(0, 100_000)), Math.max(...delays.slice(0, 100_000))];
    assert(range[0] >= 40 - 1e-6 && range[0] < 40.5, `fastest ${range[0]}`);
    assert(range[1] <= 60 + 1e-6 && range[1] > 59.5, `slowest ${range[1]}`);
    assert(Math.abs(mean(delays) - 50) < 0.5, `mean ${mean(delays)}`);
    const variance = mean(delays.map((delay) => (delay - 50) ** 2));
    const expected = 10 ** 2 / 3 * (reorder ? 1 : 2 / 3);
    assert(Math.abs(variance / expected - 1) < 0.05, `variance ${variance}, not ${expected}`);
    const overtakes = got.some((packet, i) => i > 0 && packet.arrivalMs < got[i - 1].arrivalMs);
    assert.equal(overtakes, reorder);
  }
});

Deno.test("a dropping outage loses what is sent meanwhile and nothing else", () => {
  const link = linkOf({}, [{ atMs: 100, outageMs: 50 }]);
  const got = offerSteadily(link, { packetCount: 300 });
  const lost = got.filter((packet) => packet.verdict === "outage").map((packet) => packet.atMs);
  assert.deepEqual(lost, Array.from({ length: 50 }, (_, index) => 100 + index));
  assert.equal(link.counters().droppedPackets.outage, 50);
});

Deno.test("a holding outage keeps the queue and sends it afterwards at the rate", () => {
  const link = linkOf({ rateBitsPerSecond: 8e6, queueBytes: 20_000 }, [
    { atMs: 100, outageMs: 100, outageMode: "hold" },
  ]);
  const got = offerSteadily(link, { packetCount: 300, packetBytes: 500 });
  const held = got.filter(({ atMs }) => atMs >= 100 && atMs < 200);
  const kept = held.filter(({ verdict }) => verdict === "delivered");
  assert.equal(kept.length, 40, "as many as the queue holds");
  assert.deepEqual(kept.map(({ arrivalMs }) => arrivalMs), kept.map((_, i) => 250 + (i + 1) / 2));
  assert.equal(
    link.counters().droppedPackets.queue,
    60 + got.filter((p) => p.atMs >= 200 && p.verdict === "queue").length,
  );
});

Deno.test("a timeline changes settings at its times and starts again with its period", () => {
  const link = linkOf({}, [
    { atMs: 40, set: { delayMs: 90 } },
    { atMs: 60, direction: "backward", set: { delayMs: 500 } },
    { atMs: 80, outageMs: 20 },
  ], 100);
  const got = offerSteadily(link, { packetCount: 1000, packetBytes: 100 });
  for (const { atMs, verdict, arrivalMs } of got) {
    const phase = atMs % 100;
    assert.equal(verdict, phase < 80 ? "delivered" : "outage");
    if (phase < 80) {
      // In order: after the slow phase the fast one arrives no earlier than what went before.
      const ownMs = atMs + 0.008 + (phase < 40 ? 50 : 90);
      const earliestMs = atMs >= 100 && phase < 40 ? atMs - phase - 21 + 0.008 + 90 : 0;
      assert(Math.abs(arrivalMs - Math.max(ownMs, earliestMs)) < 1e-9);
    }
  }
});

Deno.test("outages at run time: cut, restore and hold", () => {
  const link = linkOf({});
  link.cut(10, Infinity);
  assert.equal(link.offer(100, 9.9), "delivered", "before the cut");
  assert.equal(link.offer(100, 10), "outage");
  assert.equal(link.offer(100, 1e6), "outage");
  link.restore();
  assert.equal(link.offer(100, 1e6), "delivered");
  link.cut(2e6, 500, "hold");
  assert.equal(link.offer(100, 2e6 + 1), "delivered");
  assert.equal(link.arrivalMs, 2e6 + 500 + 0.008 + 50);
  assert.throws(() => link.cut(3e6, Infinity, "hold"), RangeError);
  assert.throws(() => link.cut(3e6, 0), RangeError);
});

Deno.test("change() holds against the timeline until changed again", () => {
  const link = linkOf({}, [{ atMs: 100, set: { delayMs: 90, lossRatio: 1 } }]);
  link.change({ delayMs: 10 });
  assert.equal(link.offer(100, 50), "delivered");
  assert.equal(link.arrivalMs, 60.008);
  assert.equal(link.offer(100, 100), "loss", "what was not overridden follows the timeline");
});

Deno.test("setProfile() starts the new timeline at once and keeps counters, queue and order", () => {
  const link = linkOf({ rateBitsPerSecond: 8e6 });
  for (let i = 0; i < 10; i++) link.offer(1000, 1000);
  link.setProfile(profileOf({ delayMs: 1 }, [{ atMs: 0, outageMs: 5 }]), 1000);
  assert.equal(
    link.offer(1000, 1001),
    "delivered",
    "sent after the queue, when the outage is over",
  );
  assert.equal(link.arrivalMs, 1000 + 10 + 50, "not before what went ahead");
  assert.equal(link.counters().offeredPackets, 11);
  link.setProfile(profileOf({}, [{ atMs: 0, outageMs: 5 }]), 5000);
  assert.equal(link.offer(1000, 5004), "outage");
  assert.equal(link.offer(1000, 5005), "delivered");
});

Deno.test("switching other impairments on does not move the losses", () => {
  const lossesOf = (settings: Partial<DirectionSettings>) =>
    offerSteadily(linkOf({ lossRatio: 0.1, ...settings }), { packetCount: 2_000 })
      .map((packet) => packet.verdict === "loss");
  const plain = lossesOf({});
  assert.deepEqual(lossesOf({ corruptRatio: 0.5, duplicateRatio: 0.5, jitterMs: 9 }), plain);
  assert.deepEqual(lossesOf({ reorder: true, jitterMs: 9 }), plain);
});
