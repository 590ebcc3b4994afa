/**
 * What an outage of the link costs a move of a real machine: extra time and bytes sent again, beside
 * a move without one in the same run. Target: at most the outage, 3 s and 5 round trips.
 *
 *     bench/outages.ts [--profiles transatlantic,lossy-intercontinental] [--seconds 2,10,60]
 *                      [--repeat 1] [--quick] [--json FILE] [--raise-priority]
 *
 * Each row boots a machine of its own. `--seconds 600` is the long one, on demand.
 */
import { parseArgs } from "node:util";
import { raisePriority } from "../src/testing/priority.ts";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { type OutageMove, outageMove } from "./outages/measure.ts";
import { setting } from "./setting.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    profiles: { type: "string", default: "transatlantic,lossy-intercontinental" },
    seconds: { type: "string", default: "2,10,60" },
    repeat: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
const TARGET_MS = 3_000;
const TARGET_ROUND_TRIPS = 5;
const profiles = values.quick ? ["transatlantic"] : values.profiles.split(",");
const lengths = values.quick ? [1] : values.seconds.split(",").map(Number);
if (values["raise-priority"]) await raisePriority(Deno.pid);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => Deno.exit(130));
}

const rows: (OutageMove & { profile: string; extraMs: number; limitMs: number })[] = [];
console.log(
  "profile                 outage    total    extra    limit   sent again   wire      pause  end",
);
for (const name of profiles) {
  const profile = await loadProfile(name);
  const roundTripMs = profile.forward.delayMs + profile.backward.delayMs;
  for (let run = 0; run < Number(values.repeat); run++) {
    let plainMs: number | null = null;
    for (const seconds of [0, ...lengths]) {
      const move = await outageMove(profile, seconds * 1000);
      plainMs ??= move.totalMs;
      const extraMs = move.totalMs - plainMs;
      const limitMs = seconds * 1000 + TARGET_MS + TARGET_ROUND_TRIPS * roundTripMs;
      rows.push({ ...move, profile: name, extraMs, limitMs });
      console.log(
        [
          name.padEnd(22),
          `${seconds} s`.padStart(7),
          `${(move.totalMs / 1000).toFixed(1)} s`.padStart(8),
          (seconds === 0 ? "-" : `${(extraMs / 1000).toFixed(1)} s`).padStart(8),
          (seconds === 0 ? "-" : `${(limitMs / 1000).toFixed(1)} s`).padStart(8),
          `${(move.resentBytes / 1e6).toFixed(2)} MB`.padStart(11),
          `${(move.wireBytes / 1e6).toFixed(1)} MB`.padStart(8),
          `${move.downtimeMs ?? "-"} ms`.padStart(9),
          ` ${move.state}, ${move.verified ? "verified" : "NOT verified"}` +
          (seconds > 0 && extraMs > limitMs ? ", OVER THE TARGET" : ""),
        ].join(" "),
      );
    }
  }
}
if (values.json !== undefined) {
  await Deno.writeTextFile(
    values.json,
    JSON.stringify({ ...await setting(), rows }, null, 1) + "\n",
  );
}
// A slow computer may miss the target; a machine that did not arrive whole is a failure anywhere.
Deno.exit(rows.every(({ state, verified }) => state === "completed" && verified) ? 0 : 1);
