/**
 * Moves a real, busy QEMU machine several times in a row through two gateway processes and the
 * emulated WAN, and says what the machine and its clients saw of it. Needs root (network namespaces)
 * and what tests/setup/debian.sh installs. See README.md beside this file.
 */
import { parseArgs } from "node:util";
import { raisePriority } from "../../src/testing/priority.ts";
import { type MoveResult, oneMove } from "./one_move.ts";
import { header, line, summary } from "./table.ts";

const USAGE = `Usage: deno task experiment:real-machine [options]
  --runs N           moves in a row (5); the last of several is held, see README.md
  --profile NAME     a name in wan-profiles/, or a path (lossy-intercontinental)
  --memory-mib N     the machine's memory (256)
  --disk-mib N       its disk (256)
  --max-downtime MS  the budget of each move (300)
  --seed N           of the link; each run adds one (1)
  --raise-priority   for a computer that does other work meanwhile: its processes go first
  --out FILE         one JSON line for each move, appended`;

const DEFAULTS = {
  runs: "5",
  profile: "lossy-intercontinental",
  "memory-mib": "256",
  "disk-mib": "256",
  "max-downtime": "300",
  seed: "1",
};
/** Rewritten all the time: memory, and blocks of the disk. */
const WORKLOAD = {
  memoryMiB: 48,
  memoryKiBPerSecond: 2048,
  diskKiBPerSecond: 512,
  diskBlockKiB: 128,
};
const PROBE_INTERVAL_MS = 5;
const TIME_LIMIT_MS = 240_000;

function options() {
  try {
    const strings = Object.fromEntries(
      [...Object.keys(DEFAULTS), "out"].map((name) => [name, { type: "string" as const }]),
    );
    const known = { ...strings, "raise-priority": { type: "boolean" as const } };
    return { ...DEFAULTS, ...parseArgs({ args: Deno.args, options: known }).values } as
      & typeof DEFAULTS
      & { out?: string; "raise-priority"?: boolean };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    Deno.exit(2);
  }
}

const chosen = options();
const runs = Number(chosen.runs);
const results: MoveResult[] = [];
const raised = chosen["raise-priority"] ?? false;
if (raised) await raisePriority(Deno.pid);
console.log(header());
for (let run = 1; run <= runs; run++) {
  const seed = Number(chosen.seed) + run - 1;
  const result = await oneMove({
    profile: chosen.profile,
    seed,
    size: {
      memoryMiB: Number(chosen["memory-mib"]),
      diskMiB: Number(chosen["disk-mib"]),
      workload: WORKLOAD,
    },
    maxDowntimeMs: Number(chosen["max-downtime"]),
    probeIntervalMs: PROBE_INTERVAL_MS,
    held: runs > 1 && run === runs,
    timeLimitMs: TIME_LIMIT_MS,
    raisePriority: raised,
  });
  results.push(result);
  console.log(line(run, result));
  if (!result.ok) console.log(JSON.stringify(result, null, 1));
  if (chosen.out !== undefined) {
    const context = {
      at: new Date().toISOString(),
      commit: await commit(),
      deno: Deno.version.deno,
      profile: chosen.profile,
      memoryMiB: Number(chosen["memory-mib"]),
      diskMiB: Number(chosen["disk-mib"]),
      workload: WORKLOAD,
      seed,
      run,
      raisedPriority: raised,
      load: Deno.loadavg()[0],
      cpus: navigator.hardwareConcurrency,
    };
    const text = JSON.stringify({ ...context, ...result }) + "\n";
    await Deno.writeTextFile(chosen.out, text, { append: true });
  }
}
for (const text of summary(results)) console.log(text);
Deno.exit(results.every(({ ok }) => ok) ? 0 : 1);

/** Of the sources that ran; null where they are no clone. */
async function commit(): Promise<string | null> {
  const cwd = import.meta.dirname;
  const output = await new Deno.Command("git", {
    args: ["rev-parse", "--short=12", "HEAD"],
    cwd,
    stderr: "null",
  }).output().catch(() => null);
  return output?.success ? new TextDecoder().decode(output.stdout).trim() : null;
}
