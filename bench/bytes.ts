/**
 * Bytes that a real machine's move puts on the wire, ours beside QEMU's own migrations, and beside
 * a bound that is computed from the machine itself. Root only.
 *
 *     bench/bytes.ts [--cases a,b,c,d,e] [--repeat 3] [--seed 1] [--contestants NAME,NAME]
 *                    [--profile transatlantic] [--rate-mbit 40] [--hot-rate-mbit 20]
 *                    [--patience 60] [--quick] [--json FILE] [--raise-priority]
 *
 * The profile is used without its loss, so that QEMU's one TCP connection cannot be blamed for it.
 * Case b has a slower one, because its guest has to rewrite memory at that rate under TCG. What the
 * cases and the figures mean is in docs/results.md, under "Bytes".
 */
import { parseArgs } from "node:util";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { findGuestKernel } from "../src/testing/guest_image/guest_kernel.ts";
import { raisePriority } from "../src/testing/priority.ts";
import { qemuVersion } from "../src/testing/qemu_process.ts";
import { Arena, withoutLoss } from "./bytes/arena.ts";
import { CASE_NAMES, type CaseName, type CasePlan, runCase } from "./bytes/cases.ts";
import { CausewayGateways } from "./bytes/causeway.ts";
import type { Contestant } from "./bytes/contestant.ts";
import { QEMU_SETTINGS, QemuAlone, type QemuSettingName } from "./bytes/qemu_alone.ts";
import { caseLines, judge, type RecordedRun } from "./bytes/report.ts";
import { setting } from "./setting.ts";

const OURS = "causeway";
/** Slowing the machine is no way to send less. */
const QEMUS = (Object.keys(QEMU_SETTINGS) as QemuSettingName[]).filter((name) =>
  name !== "qemu-auto-converge"
);
/** QEMU remembers nothing, so in later moves one setting shows what all do: the whole again. */
const LATER_QEMU: QemuSettingName = "qemu-multifd-zstd";
const TIME_LIMIT_MS = 400_000;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    cases: { type: "string" },
    contestants: { type: "string" },
    repeat: { type: "string" },
    seed: { type: "string", default: "1" },
    profile: { type: "string", default: "transatlantic" },
    "rate-mbit": { type: "string", default: "40" },
    "hot-rate-mbit": { type: "string", default: "20" },
    patience: { type: "string", default: "60" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
const cases = (values.cases ?? (values.quick ? "a" : CASE_NAMES.join(","))).split(",").map(
  (name) => known(name, CASE_NAMES, "case"),
);
const chosen = (values.contestants ?? (values.quick ? `${OURS},${LATER_QEMU}` : ""))
  .split(",").filter((name) => name !== "").map((name) => known(name, [OURS, ...QEMUS], "way"));
const repeat = Number(values.repeat ?? (values.quick ? 1 : 3));
const hotBitsPerSecond = Number(values["hot-rate-mbit"]) * 1e6;
const profile = withoutLoss(await loadProfile(values.profile), Number(values["rate-mbit"]) * 1e6);
const hotProfile = withoutLoss(profile, hotBitsPerSecond);
const patience = {
  convergenceMs: Number(values.patience) * 1000,
  timeLimitMs: TIME_LIMIT_MS,
};
if (values["raise-priority"]) await raisePriority(Deno.pid);

/** What the running case has started, for those who do not wait for its end. */
let open: AsyncDisposableStack | null = null;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await open?.disposeAsync();
    Deno.exit(130);
  });
}

const runs: RecordedRun[] = [];
/** Moves that did not arrive: told and recorded, and no reason to lose the others. */
const failures: { case: CaseName; contestant: string; seed: number; message: string }[] = [];
for (let repetition = 0; repetition < repeat; repetition++) {
  const seed = Number(values.seed) + repetition;
  for (const name of cases) {
    for (const contestant of contestantsOf(name)) {
      const title = `case ${name}, ${contestant}, seed ${seed}`;
      try {
        const run = await oneRun(name, contestant, seed, repetition);
        runs.push(run);
        const { wireBytes, totalMs } = run.cost;
        console.log(
          `${title}: ${(wireBytes / 1e6).toFixed(1)} MB, ${(totalMs / 1000).toFixed(0)} s, ` +
            run.verified,
        );
      } catch (error) {
        const { message } = error as Error;
        failures.push({ case: name, contestant, seed, message });
        console.error(`${title}: FAILED, ${message}`);
      }
      if (values.json !== undefined) await writeJson(values.json);
    }
  }
}
for (const name of CASE_NAMES) {
  for (const line of caseLines(name, runs)) console.log(line);
}
if (failures.length > 0) {
  console.error(`${failures.length} moves did not arrive`);
  Deno.exitCode = 1;
}

async function oneRun(
  name: CaseName,
  contestantName: string,
  seed: number,
  repetition: number,
): Promise<RecordedRun> {
  await using owned = new AsyncDisposableStack();
  open = owned;
  try {
    const arena = owned.use(await Arena.open(name === "b" ? hotProfile : profile, seed));
    const contestant: Contestant = contestantName === OURS
      ? await CausewayGateways.start(arena, patience)
      : new QemuAlone(contestantName as QemuSettingName, arena, patience);
    owned.use(contestant);
    const world = { arena, contestant, plan: plan(seed), bounded: contestantName === OURS, owned };
    const run = await runCase(name, world);
    const load = Deno.loadavg()[0];
    return { case: name, contestant: contestantName, repetition, seed, load, ...run };
  } finally {
    open = null;
  }
}

/** A machine of half a gigabyte, or a tiny one that shows that everything works. */
function plan(seed: number): CasePlan {
  const hotKiBPerSecond = Math.round(hotBitsPerSecond / 8 / 1024);
  if (values.quick) {
    return {
      size: { memoryMiB: 160, diskMiB: 32, baseMiB: 8 },
      busy: { memoryMiB: 8, memoryKiBPerSecond: 1024, diskKiBPerSecond: 256 },
      hot: { memoryMiB: 4, memoryKiBPerSecond: 0, hotMiB: 4, hotKiBPerSecond, diskKiBPerSecond: 0 },
      seed,
      settled: { memory: 4, disk: 4, hotPasses: 1 },
    };
  }
  return {
    size: { memoryMiB: 256, diskMiB: 256, baseMiB: 64 },
    busy: { memoryMiB: 48, memoryKiBPerSecond: 2048, diskKiBPerSecond: 512 },
    // As much content; the part that is not hot stands still. A few blocks now and then.
    hot: {
      memoryMiB: 16,
      memoryKiBPerSecond: 0,
      hotMiB: 32,
      hotKiBPerSecond,
      diskKiBPerSecond: 128,
    },
    seed,
    settled: { memory: 16, disk: 16, hotPasses: 1 },
  };
}

function contestantsOf(name: CaseName): string[] {
  const all = ["a", "b"].includes(name) ? [OURS, ...QEMUS] : [OURS, LATER_QEMU];
  return chosen.length === 0 ? all : all.filter((contestant) => chosen.includes(contestant));
}

function known<T extends string>(name: string, names: readonly T[], what: string): T {
  const found = names.find((known) => known === name);
  if (found !== undefined) return found;
  console.error(`There is no ${what} named ${name}: there are ${names.join(", ")}`);
  Deno.exit(2);
}

async function writeJson(path: string): Promise<void> {
  const document = {
    ...await setting(),
    qemu: await qemuVersion(),
    guestKernel: findGuestKernel()?.release ?? null,
    at: new Date().toISOString(),
    profile,
    hotProfile,
    patience,
    seed: Number(values.seed),
    plan: plan(Number(values.seed)),
    failures,
    judgements: judge(runs),
    runs,
  };
  await Deno.writeTextFile(path, JSON.stringify(document, null, 1) + "\n");
}
