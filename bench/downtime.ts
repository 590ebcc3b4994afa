/**
 * The pause of moves that fit, on several profiles: what the report says, what a client of the
 * machine sees, and what was forecast when the switch was decided. Real QEMU machines between two
 * gateway processes, as in experiments/real-machine. Root only.
 *
 *     bench/downtime.ts [--profiles A,B] [--repeat 3] [--seed 1] [--max-downtime 300] [--quick]
 *                       [--json FILE] [--raise-priority]
 *
 * `--raise-priority` is for computers with other work: it puts the whole session first, so start it
 * with `setsid -w`.
 */
import { parseArgs } from "node:util";
import { oneMove } from "../experiments/real-machine/one_move.ts";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { raisePriority } from "../src/testing/priority.ts";
import { qemuVersion } from "../src/testing/qemu_process.ts";
import { judgePauses, pauseLines, type PauseRun, targetsMet } from "./downtime/judge.ts";
import { setting } from "./setting.ts";

const PROFILES = ["metro", "transatlantic", "lossy-intercontinental", "geo-satellite"];
const PROBE_INTERVAL_MS = 5;
const TIME_LIMIT_MS = 240_000;
/** What each of the profiles carries: the slowest has 2.5 MB/s. */
const SIZE = {
  memoryMiB: 256,
  diskMiB: 128,
  workload: { memoryMiB: 32, memoryKiBPerSecond: 1024, diskKiBPerSecond: 256, diskBlockKiB: 128 },
};
/** Shows that everything works. */
const QUICK_SIZE = {
  memoryMiB: 160,
  diskMiB: 32,
  workload: { memoryMiB: 8, memoryKiBPerSecond: 512, diskKiBPerSecond: 128, diskBlockKiB: 128 },
};

const { values } = parseArgs({
  args: Deno.args,
  options: {
    profiles: { type: "string" },
    repeat: { type: "string" },
    seed: { type: "string", default: "1" },
    "max-downtime": { type: "string", default: "300" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
const { quick } = values;
const profiles = (values.profiles ?? (quick ? "metro" : PROFILES.join(","))).split(",");
const repeat = Number(values.repeat ?? (quick ? 1 : 3));
const size = quick ? QUICK_SIZE : SIZE;
const raised = values["raise-priority"];
if (raised) await raisePriority(Deno.pid);

const runs: (PauseRun & Record<string, unknown>)[] = [];
/** Moves that could not be measured: told and recorded, and no reason to lose the others. */
const failures: { profile: string; seed: number; message: string }[] = [];
for (let repetition = 0; repetition < repeat; repetition++) {
  const seed = Number(values.seed) + repetition;
  for (const profile of profiles) {
    try {
      await run(profile, seed);
    } catch (error) {
      const { message } = error as Error;
      failures.push({ profile, seed, message });
      console.error(`${profile}, seed ${seed}: FAILED, ${message}`);
    }
    if (values.json !== undefined) await writeJson(values.json);
  }
}
console.log("");
for (const line of pauseLines(runs)) console.log(line);
const met = targetsMet(judgePauses(runs));
console.log(`at most 300 ms and 1.5 round trips: ${met.short ? "met" : "missed"}`);
console.log(`right in nine of ten: ${met.right ? "met" : "missed"}`);
if (failures.length > 0) Deno.exitCode = 1;

async function run(profile: string, seed: number): Promise<void> {
  const { forward, backward } = await loadProfile(profile);
  const roundTripMs = forward.delayMs + backward.delayMs;
  const { disk: _disk, timeline: _timeline, ...result } = await oneMove({
    profile,
    seed,
    size,
    maxDowntimeMs: Number(values["max-downtime"]),
    probeIntervalMs: PROBE_INTERVAL_MS,
    held: false,
    timeLimitMs: TIME_LIMIT_MS,
    raisePriority: raised,
  });
  runs.push({ profile, seed, roundTripMs, load: Deno.loadavg()[0], ...result });
  const parts = result.switchNumbers;
  console.log(
    `${profile}, seed ${seed}: ${result.state} in ${(result.totalMs! / 1000).toFixed(0)} s; ` +
      `reported ${result.reportedDowntimeMs}, observed ${result.observedDowntimeMs}, ` +
      `predicted ${result.predictedDowntimeMs} ms (transfer ${parts?.transferMs}, ` +
      `work ${parts?.workMs}, path ${parts?.pathMs}, loss ${parts?.lossPercent} %); noise ${result.noiseMs} ms, ` +
      `${result.switchesUndone} undone, ${result.verify}`,
  );
}

async function writeJson(path: string): Promise<void> {
  const document = {
    ...await setting(),
    qemu: await qemuVersion(),
    at: new Date().toISOString(),
    size,
    maxDowntimeMs: Number(values["max-downtime"]),
    raisedPriority: raised,
    failures,
    judgement: judgePauses(runs),
    runs,
  };
  await Deno.writeTextFile(path, JSON.stringify(document, null, 1) + "\n");
}
