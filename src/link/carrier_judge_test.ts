import assert from "node:assert/strict";
import type { CarrierKind } from "./carrier.ts";
import {
  CarrierJudge,
  type CarrierSample,
  FIGURES_BEFORE_BBR,
  MEASURE_MS,
  SETTLE_MS,
  SHORT_ROUND_TRIP_MS,
  TRIAL_MS_MAX,
  TRIAL_PAUSE_MS,
  type Verdict,
} from "./carrier_judge.ts";
import { FAR_ROUND_TRIP_MS } from "./far_path.ts";

type Behaviour = Pick<CarrierSample, "goodputBytesPerSecond" | "cpuShare" | "lossRatio">;

/** Looks once a second and follows every verdict, as the choice does. */
class World {
  readonly judge: CarrierJudge;
  readonly verdicts: (Verdict & { atMs: number })[] = [];
  kind: CarrierKind;
  isBusy = true;
  canTry = true;
  congestionControl: string | null = "bbr";
  minRoundTripMs = 100;
  nowMs = 0;

  constructor(
    kind: CarrierKind,
    readonly behaviour: Record<CarrierKind, Behaviour>,
    shortMs?: number,
  ) {
    this.kind = kind;
    this.judge = new CarrierJudge(shortMs);
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 1_000) {
      const { kind, isBusy, canTry, congestionControl, minRoundTripMs, nowMs } = this;
      const now = { nowMs, kind, isBusy, canTry, congestionControl, minRoundTripMs };
      const sample = { ...now, ...this.behaviour[kind] };
      const verdict = this.judge.observe(sample);
      if (verdict === null) continue;
      this.verdicts.push({ ...verdict, atMs: nowMs });
      this.kind = verdict.kind;
    }
  }

  get kinds(): string[] {
    return this.verdicts.map(({ kind, isTrial }) => kind + (isTrial ? "?" : ""));
  }
}

const calm: Behaviour = { goodputBytesPerSecond: 10e6, cpuShare: 0.2, lossRatio: 0.01 };
const atTheLimit: Behaviour = { goodputBytesPerSecond: 60e6, cpuShare: 0.95, lossRatio: 0 };

Deno.test("QUIC that fills a lossy path at little cost is left alone", () => {
  const world = new World("quic", { quic: calm, tls: { ...calm, goodputBytesPerSecond: 100e6 } });
  world.congestionControl = null;
  world.run(3_600_000);
  assert.deepEqual(world.kinds, []);
});

Deno.test("where TCP has BBR a long transfer is compared, and goes on over what is better", () => {
  const faster = new World("quic", {
    quic: { ...calm, goodputBytesPerSecond: 5e6 },
    tls: { ...calm, lossRatio: null },
  });
  faster.run(FIGURES_BEFORE_BBR * MEASURE_MS - 2_000);
  assert.deepEqual(faster.kinds, [], "not in its first seconds");
  faster.run(60_000);
  assert.deepEqual(faster.kinds, ["tls?", "tls"]);
  assert.match(faster.verdicts[0].reason, /TCP has BBR here/);
  const alike = new World("quic", { quic: calm, tls: { ...calm, lossRatio: null } });
  alike.run(TRIAL_PAUSE_MS);
  assert.deepEqual(alike.kinds, ["tls?", "quic"]);
});

Deno.test("over a path so long that TCP takes longer to find the rate than a trial lasts there is none", () => {
  const world = new World("quic", {
    quic: { ...calm, goodputBytesPerSecond: 2e6 },
    tls: { ...calm, lossRatio: null },
  });
  world.minRoundTripMs = FAR_ROUND_TRIP_MS;
  world.run(600_000);
  assert.deepEqual(world.kinds, []);
});

Deno.test("QUIC that is limited by a core is compared with TLS, which stays where it is better", () => {
  const world = new World("quic", {
    quic: atTheLimit,
    tls: { goodputBytesPerSecond: 110e6, cpuShare: 0.6, lossRatio: null },
  });
  world.run(60_000);
  assert.deepEqual(world.kinds, ["tls?", "tls"]);
  assert.match(world.verdicts[0].reason, /trial: QUIC is limited by the processor \(0\.95 cores\)/);
  assert.match(world.verdicts[1].reason, /it measured better: 110\.00 MB\/s against 60\.00 MB\/s/);
  const trialMs = world.verdicts[1].atMs - world.verdicts[0].atMs;
  assert.ok(trialMs >= SETTLE_MS + MEASURE_MS && trialMs <= SETTLE_MS + MEASURE_MS + 3_000);
});

Deno.test("as much goodput for far less work is better, too", () => {
  const world = new World("quic", {
    quic: atTheLimit,
    tls: { goodputBytesPerSecond: 60e6, cpuShare: 0.5, lossRatio: null },
  });
  world.run(60_000);
  assert.deepEqual(world.kinds, ["tls?", "tls"]);
  assert.match(world.verdicts[1].reason, /at 0\.53 of the processor time/);
});

Deno.test("a trial that shows no gain goes back, and the next ones come later and later", () => {
  const world = new World("quic", {
    quic: atTheLimit,
    tls: { goodputBytesPerSecond: 65e6, cpuShare: 0.9, lossRatio: null },
  });
  world.run(4 * TRIAL_PAUSE_MS);
  assert.deepEqual(world.kinds, ["tls?", "quic", "tls?", "quic", "tls?", "quic"]);
  const trials = world.verdicts.filter(({ isTrial }) => isTrial).map(({ atMs }) => atMs);
  assert.ok(trials[1] - trials[0] >= TRIAL_PAUSE_MS);
  assert.ok(trials[2] - trials[1] >= 2 * TRIAL_PAUSE_MS);
});

Deno.test("a core that is busy with other things does not make slow QUIC the suspect", () => {
  const busy: Behaviour = { goodputBytesPerSecond: 12e6, cpuShare: 1.8, lossRatio: 0 };
  const world = new World("quic", { quic: busy, tls: { ...busy, goodputBytesPerSecond: 50e6 } });
  world.congestionControl = null;
  world.run(600_000);
  assert.deepEqual(world.kinds, []);
});

Deno.test("UDP that loses a lot is compared where TCP is known to have BBR, and nowhere else", () => {
  const behaviour = {
    quic: { ...calm, lossRatio: 0.2 },
    tls: { ...calm, lossRatio: null, goodputBytesPerSecond: 30e6 },
  };
  const withBbr = new World("quic", behaviour);
  withBbr.run(60_000);
  assert.deepEqual(withBbr.kinds, ["tls?", "tls"]);
  for (const congestionControl of ["cubic", null]) {
    const without = new World("quic", behaviour);
    without.congestionControl = congestionControl;
    without.run(60_000);
    assert.deepEqual(without.kinds, []);
  }
});

Deno.test("idle links are not compared, and a trial without traffic ends where it began", () => {
  const world = new World("quic", { quic: atTheLimit, tls: atTheLimit });
  world.isBusy = false;
  world.run(60_000);
  assert.deepEqual(world.kinds, []);
  world.isBusy = true;
  world.run(MEASURE_MS + SETTLE_MS);
  world.isBusy = false;
  world.run(TRIAL_MS_MAX + 5_000);
  assert.deepEqual(world.kinds, ["tls?", "quic"]);
  assert.match(world.verdicts[1].reason, /want of anything to send/);
});

Deno.test("what TLS carried while UDP was blocked counts once UDP passes again", () => {
  const world = new World("tls", {
    tls: { ...calm, goodputBytesPerSecond: 20e6, lossRatio: null },
    quic: { ...calm, goodputBytesPerSecond: 10e6 },
  });
  world.canTry = false;
  world.run(60_000);
  assert.deepEqual(world.kinds, [], "nothing is tried that is known not to pass");
  world.kind = "quic";
  world.canTry = true;
  world.run(30_000);
  assert.deepEqual(world.kinds, ["tls"]);
  assert.match(world.verdicts[0].reason, /it measured better: 20\.00 MB\/s against 10\.00 MB\/s/);
  // Not for ever: the path may change.
  world.run(TRIAL_PAUSE_MS + 10_000);
  assert.equal(world.kinds[1], "quic?");
});

Deno.test("differences below the hysteresis change nothing", () => {
  const world = new World("tls", {
    tls: { ...calm, goodputBytesPerSecond: 11e6, lossRatio: null },
    quic: { ...calm, goodputBytesPerSecond: 10e6 },
  });
  world.canTry = false;
  world.run(30_000);
  world.kind = "quic";
  world.canTry = true;
  world.congestionControl = null;
  world.run(120_000);
  assert.deepEqual(world.kinds, []);
});

Deno.test("a trial whose connection fails counts as one that changed nothing", () => {
  const world = new World("quic", { quic: atTheLimit, tls: atTheLimit });
  world.run(SETTLE_MS + MEASURE_MS + 2_000);
  assert.deepEqual(world.kinds, ["tls?"]);
  world.kind = "quic";
  world.judge.cancel(world.nowMs);
  world.run(TRIAL_PAUSE_MS - 60_000);
  assert.deepEqual(world.kinds, ["tls?"]);
});

Deno.test("a short path is TCP's at once where that has BBR, idle or not, and nowhere else", () => {
  const world = new World("quic", { quic: calm, tls: calm });
  world.minRoundTripMs = SHORT_ROUND_TRIP_MS;
  world.isBusy = false;
  world.run(600_000);
  assert.deepEqual(world.kinds, ["tls"]);
  assert.equal(world.verdicts[0].atMs, 0);
  assert.match(world.verdicts[0].reason, /TCP has BBR here, and the path is short: .* 50 ms/);
  for (const congestionControl of ["cubic", null]) {
    const without = new World("quic", { quic: calm, tls: calm });
    without.minRoundTripMs = 4;
    without.congestionControl = congestionControl;
    without.run(60_000);
    assert.deepEqual(without.kinds, []);
  }
  const never = new World("quic", { quic: calm, tls: calm }, 0);
  never.minRoundTripMs = 0.2;
  never.isBusy = false;
  never.run(600_000);
  assert.deepEqual(never.kinds, []);
});

Deno.test("TLS that was taken for a short path is left when the path gets long, not at any change", () => {
  const world = new World("quic", { quic: calm, tls: calm });
  world.isBusy = false;
  world.minRoundTripMs = 4;
  world.run(5_000);
  world.minRoundTripMs = SHORT_ROUND_TRIP_MS + 10;
  world.run(60_000);
  assert.deepEqual(world.kinds, ["tls"]);
  world.minRoundTripMs = 100;
  world.run(60_000);
  assert.deepEqual(world.kinds, ["tls", "quic"]);
  assert.match(world.verdicts[1].reason, /not short any more: a round trip of 100 ms/);
});

Deno.test("a kernel that was thought to have BBR and has not is left at once, and not tried again", () => {
  const world = new World("quic", { quic: calm, tls: calm });
  world.minRoundTripMs = 4;
  world.run(1_000);
  world.congestionControl = "cubic";
  world.run(60_000);
  assert.deepEqual(world.kinds, ["tls", "quic"]);
  assert.match(world.verdicts[1].reason, /TCP has no BBR here: cubic/);
});

Deno.test("a short path over which TCP does not pass stays with QUIC until the next try is due", () => {
  const world = new World("quic", { quic: calm, tls: calm });
  world.minRoundTripMs = 4;
  world.run(1_000);
  world.kind = "quic";
  world.judge.cancel(world.nowMs);
  world.run(TRIAL_PAUSE_MS - 60_000);
  assert.deepEqual(world.kinds, ["tls"]);
  world.run(120_000);
  assert.deepEqual(world.kinds, ["tls", "tls"]);
});
