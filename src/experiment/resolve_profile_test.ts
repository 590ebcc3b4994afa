import assert from "node:assert/strict";
import { listProfiles, loadProfile } from "../emulator/load_profile.ts";
import { resolveProfile } from "./resolve_profile.ts";

Deno.test("resolveProfile() changes both directions, and the queue with rate and delay", async () => {
  const base = await loadProfile("lte");
  const { name, forward, backward, timeline } = await resolveProfile({
    name: "calm-lte",
    base: "lte",
    change: { jitterMs: 0, lossRatio: 0.25 },
  });
  assert.equal(name, "calm-lte");
  assert.deepEqual([forward.lossRatio, backward.lossRatio], [0.25, 0.25]);
  assert.equal(forward.rateBitsPerSecond, base.forward.rateBitsPerSecond);
  assert.equal(forward.queueBytes, base.forward.queueBytes);
  assert.deepEqual(timeline, base.timeline);

  const slow = await resolveProfile({
    name: "slow",
    base: "metro",
    change: { rateBitsPerSecond: 8_000_000, delayMs: 50 },
  });
  // One bandwidth-delay product of the changed link.
  assert.equal(slow.forward.queueBytes, 100_000);
  const given = await resolveProfile({
    name: "given",
    base: "metro",
    change: { delayMs: 50, queueBytes: 5_000 },
  });
  assert.equal(given.backward.queueBytes, 5_000);
});

Deno.test("resolveProfile() without a change is the profile itself, whichever it is", async () => {
  for (const profile of await listProfiles()) {
    const same = await resolveProfile({ name: profile.name, base: profile.name, change: {} });
    assert.deepEqual(same, profile);
  }
});

Deno.test("resolveProfile() says what does not fit together", async () => {
  await assert.rejects(
    () => resolveProfile({ name: "p", base: "metro", change: { jitterMs: 10 } }),
    /profile p: forward jitterMs is 10, allowed: 0 to delayMs \(2\)/,
  );
  await assert.rejects(() => resolveProfile("nowhere"), { code: "profile_not_found" });
});
