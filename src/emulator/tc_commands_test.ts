import assert from "node:assert/strict";
import { listProfiles, loadProfile } from "./load_profile.ts";
import { parseProfile } from "./profile.ts";
import { tcCommands } from "./tc_commands.ts";

function profileOf(forward: Record<string, unknown>, rest: Record<string, unknown> = {}) {
  const file = { name: "p", description: "d", source: "s", forward, ...rest };
  return parseProfile(JSON.stringify(file), "p.json");
}

Deno.test("tcCommands() puts the bottleneck before loss and delay, each direction on its own", async () => {
  const lines = tcCommands(await loadProfile("transatlantic"));
  const of = (pattern: RegExp) => lines.filter((line) => pattern.test(line));
  assert.deepEqual(of(/ tbf /), [
    "tc qdisc replace dev ifb0 root tbf rate 100000000bit burst 12500 limit 1000000",
    "tc qdisc replace dev ifb1 root tbf rate 100000000bit burst 12500 limit 1000000",
  ]);
  assert.deepEqual(of(/ netem /), [
    "tc qdisc replace dev $RIGHT root netem limit 8813 delay 40ms loss 0.1%",
    "tc qdisc replace dev $LEFT root netem limit 8813 delay 40ms loss 0.1%",
  ]);
});

Deno.test("tcCommands() turns burst loss, jitter, duplicates and corruption into netem's words", () => {
  const [forward] = tcCommands(profileOf({
    rateBitsPerSecond: 8_000_000,
    delayMs: 20,
    jitterMs: 5,
    reorder: true,
    burstLoss: { goodToBadRatio: 0.01, badToGoodRatio: 0.125 },
    duplicateRatio: 0.002,
    corruptRatio: 0.0005,
  })).filter((line) => line.includes(" netem "));
  assert.match(
    forward,
    /delay 20ms 5ms loss gemodel 1% 12\.5% 100% 0% duplicate 0\.2% corrupt 0\.05%$/,
  );
});

Deno.test("tcCommands() follows the timeline with the time between, and starts again after a period", () => {
  const lines = tcCommands(profileOf({ rateBitsPerSecond: 8_000_000, delayMs: 20 }, {
    timeline: [{ atMs: 2_000, outageMs: 500, direction: "forward" }, {
      atMs: 4_000,
      direction: "backward",
      set: { delayMs: 30 },
    }],
    timelinePeriodMs: 10_000,
  }));
  const loop = lines.slice(lines.indexOf("while :; do"));
  assert.deepEqual(loop.filter((line) => / sleep | netem /.test(line)).map((line) => line.trim()), [
    "sleep 2",
    "tc qdisc replace dev $RIGHT root netem limit 1313 delay 20ms loss 100%",
    "sleep 0.5",
    "tc qdisc replace dev $RIGHT root netem limit 1313 delay 20ms",
    "sleep 1.5",
    "tc qdisc replace dev $LEFT root netem limit 1469 delay 30ms",
    "sleep 6",
    "tc qdisc replace dev $RIGHT root netem limit 1313 delay 20ms",
    "tc qdisc replace dev $LEFT root netem limit 1313 delay 20ms",
  ]);
  assert.equal(loop.at(-1), "done");
});

Deno.test("tcCommands() says of every profile what tc cannot do, and nothing that is undefined", async () => {
  for (const profile of await listProfiles()) {
    const text = tcCommands(profile).join("\n");
    assert.doesNotMatch(text, /undefined|NaN|null/, profile.name);
    const wanders = profile.forward.jitterMs > 0 && !profile.forward.reorder;
    assert.equal(/changes the order/.test(text), wanders, profile.name);
  }
});
