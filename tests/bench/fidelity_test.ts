import assert from "node:assert/strict";
import {
  computerOf,
  type Finding,
  finding,
  lossOf,
  toleranceOf,
} from "../../bench/fidelity/judge.ts";
import { filledShare } from "../../bench/fidelity/filled.ts";
import { paceFor } from "../../bench/fidelity/options.ts";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { requires } from "../../src/testing/requirements.ts";

const ROOT = `${import.meta.dirname}/../../`;
const IDLE = { lateRatio: 0, droppedRatio: 0, offeredRatio: 1 };
const WHERE = { emulator: "tun", profile: "any", computer: IDLE } as const;

Deno.test("fidelity is judged within 3 % of a rate, 10 % of a loss, 2 ms of a delay", () => {
  assert.equal(toleranceOf("rate, UDP", 100, 1), 3);
  assert.equal(toleranceOf("loss", 0.02, 100_000), 0.002);
  assert.equal(toleranceOf("delay", 40, 1), 2);
  // 100 losses of 100,000 packets are 100 give or take 10: less than that cannot be asked.
  assert.ok(Math.abs(toleranceOf("loss", 0.001, 100_000) - 0.0003) < 1e-6);
  const rate = (measured: number, onlyAbove = false) =>
    finding(WHERE, "rate, TCP", { expected: 100, measured, onlyAbove }).verdict;
  assert.deepEqual([rate(97), rate(96), rate(104)], ["agrees", "away", "away"]);
  assert.deepEqual([rate(10, true), rate(104, true)], ["agrees", "away"]);
});

Deno.test("what is away on a computer that was too busy is no finding", () => {
  const counts = { sent: 1000, wanted: 1000, offered: 1000, delivered: 990, late: 0, dropped: 0 };
  const verdict = (changes: Partial<typeof counts>) =>
    finding({ ...WHERE, computer: computerOf({ ...counts, ...changes }) }, "delay", {
      expected: 40,
      measured: 50,
    }).verdict;
  assert.equal(verdict({}), "away");
  for (const busy of [{ late: 30 }, { dropped: 10 }, { offered: 900, sent: 900 }]) {
    assert.equal(verdict(busy), "unsure");
  }
});

Deno.test("lossOf() adds single losses, bursts and corruption as chances, not as sums", async () => {
  const single = lossOf((await loadProfile("lossy-intercontinental")).forward);
  assert.ok(Math.abs(single - 0.01) < 1e-9, `${single}`);
  const { forward } = await loadProfile("leo-satellite");
  assert.ok(Math.abs(lossOf(forward) - 0.004) < 0.0005, `${lossOf(forward)}`);
  assert.equal(lossOf({ ...forward, burstLoss: null, lossRatio: 0.5, corruptRatio: 0.5 }), 0.75);
});

Deno.test("bursts further apart than the queue is long leave a link idle, however much is offered", () => {
  // 1 MB/s: a packet of 1000 bytes each ms; 3 of them wait.
  const link = { packetBytes: 1000, rateBitsPerSecond: 8e6, queueBytes: 3000, fromMs: 0 };
  const bursts = (everyMs: number, packets: number) =>
    Array.from({ length: 100 * packets }, (_, i) => Math.floor(i / packets) * everyMs);
  assert.equal(filledShare(bursts(1, 2), link), 1);
  assert.equal(filledShare(bursts(3, 10), link), 1);
  const apart = filledShare(bursts(6, 10), link);
  assert.ok(Math.abs(apart - 0.5) < 0.02, `${apart}`);
  assert.ok(filledShare(bursts(6, 10), { ...link, fromMs: 300 }) < 0.52);
});

Deno.test("packets are small enough that 100,000 of them pass a slow link within a minute", () => {
  for (const rate of [5e6, 20e6, 100e6, 200e6]) {
    const { packetBytes, packetsPerSecond } = paceFor(rate);
    assert.ok(packetsPerSecond > 1_600 && packetsPerSecond <= 2_000, `${packetsPerSecond}`);
    assert.ok(packetBytes * packetsPerSecond * 8 <= 0.76 * rate, `${packetBytes}`);
  }
});

Deno.test("the bench of fidelity measures both emulators from outside", {
  ...await requires("iperf3", "guestImage", "namespaces", "tun"),
}, async () => {
  const out = await Deno.makeTempDir();
  try {
    // Whether all agree is for a computer that does nothing else.
    await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-all",
        "bench/run.ts",
        "--quick",
        "--only",
        "fidelity",
        "--out",
        out,
      ],
      cwd: ROOT,
      stdout: "null",
    }).output();
    const { findings } = JSON.parse(await Deno.readTextFile(`${out}/fidelity.json`)) as {
      findings: Finding[];
    };
    assert.deepEqual(findings.map(({ emulator, quantity }) => `${emulator} ${quantity}`), [
      "tun round trip",
      "tun rate, UDP",
      "tun rate, TCP",
      "tun loss",
      "relay delay",
      "relay rate, UDP",
      "relay loss",
    ]);
    for (const { quantity, expected, measured } of findings) {
      const what = `${quantity}: ${measured}, not ${expected}`;
      if (quantity === "rate, UDP") assert.ok(Math.abs(measured / expected - 1) < 0.2, what);
      else if (quantity === "loss") assert.ok(measured < 5 * expected, what);
      else if (quantity !== "rate, TCP") assert.ok(measured >= expected - 1, what);
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
