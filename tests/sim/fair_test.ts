import assert from "node:assert/strict";
import { parseProfile } from "../../src/emulator/profile.ts";
import { FairRate } from "../../src/migration/control/rate/fair.ts";
import { measurement } from "../../src/migration/control/testing/measurements.ts";
import { simulatePacedPath } from "../../src/testing/pacer_simulation.ts";

/** The download begins when the sender has the path, and is looked at once both have settled. */
const SECONDS = 30;
const TCP_FROM_MS = 8_000;
const FROM_MS = 14_000;
const SEEDS = [1, 2];

/** Shares of the path that a TCP download and a sender get, as means over some seeds. */
async function shares(profileName: string, sender: "fair" | "none", hasTcp = true) {
  const url = new URL(`../../wan-profiles/${profileName}.json`, import.meta.url);
  const profile = parseProfile(await Deno.readTextFile(url), profileName);
  const sums = { tcp: 0, sender: 0 };
  for (const seed of SEEDS) {
    const rule = new FairRate({ maxBytesPerSecond: null });
    const result = simulatePacedPath({
      profile: { ...profile, timeline: [], timelinePeriodMs: null },
      seconds: SECONDS,
      seed,
      tcpFromMs: hasTcp ? [TCP_FROM_MS] : [],
      offeredBytesPerSecond: sender === "none" ? 1 : undefined,
      cap: (path, nowMs) =>
        rule.decide({
          judgedMs: nowMs,
          measured: measurement(nowMs, { path }),
          appliedBytesPerSecond: path.goodputBytesPerSecond ?? 0,
          waitingBytes: 1e9,
          dirtyBytesPerSecond: null,
        }).bytesPerSecond,
    });
    sums.tcp += result.tcpRatio(FROM_MS, SECONDS * 1000) / SEEDS.length;
    sums.sender += result.goodputRatio(FROM_MS, SECONDS * 1000) / SEEDS.length;
  }
  return sums;
}

for (const profile of ["metro", "lte"]) {
  Deno.test(`fair leaves a download the path that it fills by itself: ${profile}`, async () => {
    const alone = await shares(profile, "none");
    assert.ok(alone.tcp > 0.85, `alone it gets ${alone.tcp}`);
    const beside = await shares(profile, "fair");
    assert.ok(beside.tcp >= 0.6, `${beside.tcp} for the download, ${beside.sender} for the sender`);
  });
}

/** A move that begins beside a download which fills the path since long. */
async function lateShares(profileName: string) {
  const url = new URL(`../../wan-profiles/${profileName}.json`, import.meta.url);
  const { forward, backward, ...rest } = parseProfile(await Deno.readTextFile(url), profileName);
  const rule = new FairRate({ maxBytesPerSecond: null });
  const result = simulatePacedPath({
    profile: {
      ...rest,
      forward: { ...forward, lossRatio: 0 },
      backward: { ...backward, lossRatio: 0 },
    },
    seconds: SECONDS,
    seed: 1,
    tcpFromMs: [0],
    cap: (path, nowMs) =>
      nowMs < TCP_FROM_MS ? 1_000 : rule.decide({
        judgedMs: nowMs,
        measured: measurement(nowMs, { path }),
        appliedBytesPerSecond: path.goodputBytesPerSecond ?? 0,
        waitingBytes: 1e9,
        dirtyBytesPerSecond: null,
      }).bytesPerSecond,
  });
  const [fromMs, untilMs] = [TCP_FROM_MS, SECONDS * 1000];
  return {
    tcp: result.tcpRatio(fromMs, untilMs),
    sender: result.goodputRatio(untilMs - 5_000, untilMs),
  };
}

for (const profile of ["continental", "transatlantic"]) {
  Deno.test(`fair keeps a share beside a download that was there first: ${profile}`, async () => {
    const { tcp, sender } = await lateShares(profile);
    assert.ok(tcp >= 0.4, `${tcp} for the download`);
    assert.ok(sender >= 0.03, `${sender} of the path for the sender`);
  });
}

for (const profile of ["congested-dsl", "lossy-intercontinental", "transatlantic"]) {
  Deno.test(`fair takes little from a download that loss holds back: ${profile}`, async () => {
    const alone = await shares(profile, "none");
    const beside = await shares(profile, "fair");
    assert.ok(beside.tcp >= 0.8 * alone.tcp, `${beside.tcp} of ${alone.tcp}`);
  });
}

for (const profile of ["metro", "continental", "lossy-intercontinental"]) {
  Deno.test(`fair has most of a path that it has to itself: ${profile}`, async () => {
    const { sender } = await shares(profile, "fair", false);
    assert.ok(sender > 0.75, `${sender} of the path`);
  });
}
