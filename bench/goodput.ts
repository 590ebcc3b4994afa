/**
 * Goodput of incompressible payload over the link's rate, our carriers beside one kernel TCP
 * connection with cubic and with BBR, all through the same link model between two TUN devices. Root
 * only. `causeway-tls-cubic` is our second carrier as it is where BBR cannot be set.
 *
 *     bench/goodput.ts [--profiles A,B]
 *                      [--contestants causeway,causeway-tls,causeway-tls-cubic,tcp-cubic,tcp-bbr]
 *                      [--seconds 15] [--repeat 3] [--seed 1] [--json FILE] [--raise-priority]
 *
 * `--raise-priority` is for computers with other work: it puts the whole session first, so start it
 * with `setsid -w`.
 */
import { parseArgs } from "node:util";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { raisePriority } from "../src/testing/priority.ts";
import { type Contestant, measure, type Measurement } from "./goodput/measure.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    profiles: {
      type: "string",
      default: "metro,transatlantic,lossy-intercontinental,geo-satellite",
    },
    contestants: { type: "string", default: "causeway,causeway-tls,tcp-cubic,tcp-bbr" },
    seconds: { type: "string", default: "15" },
    repeat: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
if (values["raise-priority"]) await raisePriority(Deno.pid);
const seconds = Number(values.seconds);
const warmUpMs = 2_000;
const results: { profile: string; contestant: Contestant; runs: Measurement[] }[] = [];

console.log(
  `${"profile".padEnd(24)}${"contestant".padEnd(20)}goodput/rate        queue drops  ` +
    "overhead  cpu s/GB send, receive   urgent echo ms p50, p99",
);
for (const name of values.profiles.split(",")) {
  const profile = await loadProfile(name);
  for (const contestant of values.contestants.split(",") as Contestant[]) {
    const runs: Measurement[] = [];
    for (let i = 0; i < Number(values.repeat); i++) {
      const seed = Number(values.seed) + i;
      runs.push(await measure({ contestant, profile, seconds, warmUpMs, seed }));
    }
    results.push({ profile: name, contestant, runs });
    console.log(row(name, contestant, runs));
  }
}
if (values.json !== undefined) {
  const document = {
    commit: await commit(),
    deno: Deno.version.deno,
    cores: navigator.hardwareConcurrency,
    seconds,
    warmUpMs,
    results,
  };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}

function row(profile: string, contestant: Contestant, runs: Measurement[]): string {
  const ratio = (value: (run: Measurement) => number, digits: number) => {
    const sorted = runs.map(value).sort((left, right) => left - right);
    const shown = (number: number) => number.toFixed(digits);
    return `${shown(median(sorted))} (${shown(sorted[0])}-${shown(sorted.at(-1) as number)})`;
  };
  const perGb = (cpuMs: number, run: Measurement) => cpuMs * 1e6 / run.receivedBytes;
  return profile.padEnd(24) + contestant.padEnd(20) +
    ratio((run) => run.goodputRatio, 3).padEnd(20) +
    `${(100 * median(runs.map((run) => run.queueDropRatio).sort(ascending))).toFixed(2)} %`
      .padStart(9) +
    median(runs.map((run) => run.overheadRatio).sort(ascending)).toFixed(3).padStart(10) +
    "    " + median(runs.map((run) => perGb(run.senderCpuMs, run)).sort(ascending)).toFixed(1) +
    ", " + median(runs.map((run) => perGb(run.receiverCpuMs, run)).sort(ascending)).toFixed(1) +
    echo(runs);
}

function echo(runs: Measurement[]): string {
  const echoes = runs.map((run) => run.echoMs).filter((echoMs) => echoMs !== null);
  if (echoes.length === 0) return "";
  const middle = (value: (echoMs: typeof echoes[number]) => number) =>
    median(echoes.map(value).sort(ascending)).toFixed(0);
  return `   ${middle((echoMs) => echoMs.median)}, ${middle((echoMs) => echoMs.p99)}`;
}

function ascending(left: number, right: number): number {
  return left - right;
}

function median(sorted: number[]): number {
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function commit(): Promise<string> {
  const { success, stdout } = await new Deno.Command("git", { args: ["rev-parse", "HEAD"] })
    .output();
  return success ? new TextDecoder().decode(stdout).trim() : "unknown";
}
