/**
 * A real machine that writes faster than its link carries: QEMU's own migration, which does not come
 * to an end by itself, beside ours with each of its remedies. Root only.
 *
 *     bench/converge.ts [--loads memory,disk] [--contestants NAME;NAME] [--repeat 1] [--seed 1]
 *                       [--profile transatlantic] [--rate-mbit 20] [--max-downtime 300]
 *                       [--patience 60] [--quick] [--json FILE] [--raise-priority]
 *
 * The profile is used without its loss, so that QEMU's one TCP connection cannot be blamed for it. A
 * move of QEMU that has not come to an end after the patience is ended as an operator would, by
 * stopping the machine. `--raise-priority` is for computers with other work: it puts the whole session
 * first, so start it with `setsid -w`.
 */
import { parseArgs } from "node:util";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { raisePriority } from "../src/testing/priority.ts";
import { qemuVersion } from "../src/testing/qemu_process.ts";
import { withoutLoss } from "./bytes/arena.ts";
import { LOADS } from "./converge/loads.ts";
import { convergeLines, type ConvergeRun, keptBudget } from "./converge/report.ts";
import { convergeRun } from "./converge/run.ts";
import { setting } from "./setting.ts";

const TIME_LIMIT_MS = 240_000;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    loads: { type: "string" },
    contestants: { type: "string" },
    repeat: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    profile: { type: "string", default: "transatlantic" },
    "rate-mbit": { type: "string" },
    "max-downtime": { type: "string", default: "300" },
    patience: { type: "string", default: "60" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
const { quick } = values;
const loads = values.loads ?? (quick ? "memory" : LOADS.map(({ name }) => name).join(","));
const contestants = values.contestants ?? (quick ? "causeway, giveUp" : null);
/** The quick one is not to wait for the first copy. */
const bitsPerSecond = Number(values["rate-mbit"] ?? (quick ? 40 : 20)) * 1e6;
const profile = withoutLoss(await loadProfile(values.profile), bitsPerSecond);
const settings = {
  profile,
  patience: { convergenceMs: Number(values.patience) * 1000, timeLimitMs: TIME_LIMIT_MS },
  maxDowntimeMs: Number(values["max-downtime"]),
  size: quick
    ? { memoryMiB: 160, diskMiB: 48, baseMiB: 8 }
    : { memoryMiB: 256, diskMiB: 128, baseMiB: 16 },
};
if (values["raise-priority"]) await raisePriority(Deno.pid);

/** What the present run has started, for those who do not wait for its end. */
let open: AsyncDisposableStack | null = null;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await open?.disposeAsync();
    Deno.exit(130);
  });
}

const runs: ConvergeRun[] = [];
/** Runs that broke: told and recorded, and no reason to lose the others. */
const failures: { load: string; contestant: string; seed: number; message: string }[] = [];
for (let repetition = 0; repetition < Number(values.repeat); repetition++) {
  const seed = Number(values.seed) + repetition;
  for (const load of LOADS.filter(({ name }) => loads.split(",").includes(name))) {
    for (const contestant of load.contestants) {
      if (contestants !== null && !contestants.split(";").includes(contestant.name)) continue;
      const title = `${load.name}, ${contestant.name}, seed ${seed}`;
      await using owned = new AsyncDisposableStack();
      open = owned;
      try {
        const run = await convergeRun(load, contestant, { ...settings, seed }, owned);
        runs.push(run);
        tell(title, run);
      } catch (error) {
        const { message } = error as Error;
        failures.push({ load: load.name, contestant: contestant.name, seed, message });
        console.error(`${title}: FAILED, ${message}`);
      }
      if (values.json !== undefined) await writeJson(values.json);
    }
  }
}
for (const line of convergeLines(runs)) console.log(line);
if (failures.length > 0) Deno.exitCode = 1;

function tell(title: string, run: ConvergeRun): void {
  const seen = run.observedDowntimeMs === null ? "" : `, ${run.observedDowntimeMs} ms unseen`;
  console.log(
    `${title}: ${run.end} in ${(run.totalMs / 1000).toFixed(0)} s, ` +
      `${(run.wireBytes / 1e6).toFixed(1)} MB${seen}` +
      `${run.end === "converged" && keptBudget(run) ? ", within budget" : ""}; ` +
      `writes ${(run.writtenBytesPerSecond / 1e6).toFixed(1)} MB/s; ${run.verified}` +
      `${run.note === "" ? "" : `; ${run.note}`}`,
  );
  for (const { action, reason } of run.decisions) console.log(`    ${action}: ${reason}`);
}

async function writeJson(path: string): Promise<void> {
  const document = {
    ...await setting(),
    qemu: await qemuVersion(),
    at: new Date().toISOString(),
    ...settings,
    seed: Number(values.seed),
    failures,
    runs,
  };
  await Deno.writeTextFile(path, JSON.stringify(document, null, 1) + "\n");
}
