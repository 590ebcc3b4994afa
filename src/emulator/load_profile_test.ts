import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { listProfiles, loadProfile, profileNames } from "./load_profile.ts";

/** One-way delay, loss, rate: what the project promises of its named profiles. */
const PROMISED: Record<string, [number, number, number]> = {
  metro: [2, 0, 200e6],
  continental: [15, 0.0001, 200e6],
  transatlantic: [40, 0.001, 100e6],
  transpacific: [75, 0.001, 100e6],
  "lossy-intercontinental": [50, 0.01, 100e6],
  "congested-dsl": [50, 0.005, 5e6],
  "geo-satellite": [300, 0.005, 20e6],
};

Deno.test("every profile is valid, bears its file's name and says where its figures come from", async () => {
  const profiles = await listProfiles();
  const names = profiles.map((profile) => profile.name);
  assert.deepEqual(names, await profileNames());
  assert.deepEqual(names, [...Object.keys(PROMISED), "flaky", "leo-satellite", "lte"].sort());
  for (const { source } of profiles) assert.match(source, /our own choice/);
});

Deno.test("the named profiles have the promised figures, both ways", async () => {
  for (const [name, [delayMs, lossRatio, rateBitsPerSecond]] of Object.entries(PROMISED)) {
    const profile = await loadProfile(name);
    for (const direction of [profile.forward, profile.backward]) {
      assert.deepEqual(direction, {
        rateBitsPerSecond,
        delayMs,
        jitterMs: 0,
        reorder: false,
        lossRatio,
        burstLoss: null,
        duplicateRatio: 0,
        corruptRatio: 0,
        queueBytes: rateBitsPerSecond * 2 * delayMs / 8000,
      });
    }
  }
});

Deno.test("flaky has outages of 2, 10 and 30 s", async () => {
  const { timeline } = await loadProfile("flaky");
  assert.deepEqual(timeline.map((event) => event.outageMs), [2_000, 10_000, 30_000]);
});

Deno.test("a profile that is not there is refused with the known names", async () => {
  for (const name of ["atlantis", "../deno", "./no/such/file.json", "none.json", ""]) {
    await assert.rejects(
      loadProfile(name),
      (error) =>
        error instanceof GatewayError && error.code === "profile_not_found" &&
        /lossy-intercontinental, lte, metro/.test(error.message),
    );
  }
});

Deno.test("what is not a profile file is refused by name", async () => {
  await assert.rejects(loadProfile("/"), { code: "profile_invalid" });
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(path, '{"name": 5}');
    await assert.rejects(
      loadProfile(path),
      (error) =>
        error instanceof GatewayError && error.code === "profile_invalid" &&
        error.message.includes(path) && /name is 5, allowed: a text/.test(error.message),
    );
    await Deno.truncate(path, 2 * 1024 * 1024);
    await assert.rejects(loadProfile(path), /2097152 bytes, allowed: up to 1048576/);
  } finally {
    await Deno.remove(path);
  }
});
