/**
 * `deno task test`: prepares the machine where it may, runs every test and ends with the line
 * `N passed, N failed, N skipped`. Exit code 1 after a failure, and with CI=true after a skip.
 */
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { guestImage } from "../src/testing/guest_image/build.ts";
import { missingRequirements, SETUP_COMMAND } from "../src/testing/requirements.ts";
import {
  newRunToken,
  registerRun,
  removeLeftovers,
  RUN_TOKEN_VARIABLE,
} from "./runner/leftovers.ts";
import { denoTestArgs, groupParts, onlyMatching, type Part, planParts } from "./runner/parts.ts";
import * as summary from "./runner/summary.ts";

const USAGE = `Usage: deno task test [--only GLOB] [--filter TEXT]
  --only GLOB    test files whose path matches, such as 'tests/e2e/*' or just 'guest_image'
  --filter TEXT  tests whose name contains TEXT, or matches /REGEXP/`;
const SLOWEST_COUNT = 5;
const ROOT = `${dirname(import.meta.dirname!)}/`;
const CACHE = `${ROOT}.cache`;

interface PartResult {
  readonly part: Part;
  readonly counts: summary.Counts;
  readonly seconds: number;
  readonly files: readonly summary.FileDuration[];
}

const options = readOptions(Deno.args);
const isCi = Deno.env.get("CI") === "true";
const runToken = newRunToken();
const skipReasonsPath = `${CACHE}/skip-reasons-${runToken}`;
/** Of parts that run at this time, with what marks the processes of each. */
const running = new Map<Deno.ChildProcess, string>();

Deno.chdir(ROOT);
tell(await registerRun(`${CACHE}/test-runs`, runToken), "Removed what an earlier run left");
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await cleanUp();
    Deno.exit(130);
  });
}
await prepareMachine();
await buildGuestImage();

const results: PartResult[] = [];
for (const group of groupParts(await chooseParts())) {
  const last = group.length - 1;
  results.push(...await Promise.all(group.map((part, at) => runPart(part, at < last))));
}
await reportSkips();
report(results);
await cleanUp();
const total = summary.sumCounts(results.map((result) => result.counts));
console.log(summary.summaryLine(total));
Deno.exit(summary.exitCodeOf(total, isCi));

function readOptions(args: string[]): { only?: string; filter?: string } {
  try {
    return parseArgs({
      args,
      options: { only: { type: "string" }, filter: { type: "string" } },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    Deno.exit(2);
  }
}

async function prepareMachine(): Promise<void> {
  const debian = await Deno.readTextFile("/etc/os-release").catch(() => "");
  if (Deno.uid() === 0 && /^ID=debian$/m.test(debian)) {
    const { success } = await new Deno.Command("sh", { args: ["tests/setup/debian.sh"] })
      .spawn().status;
    if (!success) console.error("The set-up failed; tests that need it are skipped.");
  } else if ((await missingRequirements("qemu", "guestImage", "libnbd", "nbdkit")).length > 0) {
    console.log(`Some tests need more than this machine has. One command provides it:
    ${SETUP_COMMAND}`);
  }
}

/** Once, before tests ask for it side by side; and a failure is seen here, not in each of them. */
async function buildGuestImage(): Promise<void> {
  if ((await missingRequirements("guestImage")).length > 0) return;
  const { kernel, initrd } = await guestImage();
  console.log(`guest image: ${kernel}, ${initrd.replace(ROOT, "")}`);
}

async function chooseParts(): Promise<Part[]> {
  const folders: string[] = [];
  for await (const entry of Deno.readDir("tests")) if (entry.isDirectory) folders.push(entry.name);
  const parts = planParts(folders.sort());
  if (options.only === undefined) return parts;
  return onlyMatching(
    parts,
    [...await testFiles("src"), ...await testFiles("tests")],
    options.only,
  );
}

async function testFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await testFiles(path));
    else if (/_test\.tsx?$/.test(entry.name)) files.push(path);
  }
  return files.sort();
}

/** @param isAside its output is shown at its end, because another part shows its own */
async function runPart(part: Part, isAside: boolean): Promise<PartResult> {
  const title = `\n=== ${part.name} ===`;
  console.log(isAside ? `${title}\n(beside the next part; its output follows)` : title);
  const startedMs = performance.now();
  // A name of its own, by which what it leaves behind is told from what another part still uses.
  const token = isAside ? newRunToken() : runToken;
  if (isAside) await registerRun(`${CACHE}/test-runs`, token);
  const reportPath = `${CACHE}/report-${token}.xml`;
  const child = new Deno.Command(Deno.execPath(), {
    args: denoTestArgs(part, { filter: options.filter, reportPath }),
    env: { [RUN_TOKEN_VARIABLE]: token, CAUSEWAY_SKIP_REASONS: skipReasonsPath },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  running.set(child, token);
  const timer = setTimeout(() => {
    console.error(`\n${part.name} takes longer than ${part.timeLimitMs / 1000} s: ended`);
    child.kill("SIGKILL");
    // Children that hold its output would keep this part from ending.
    void removeLeftovers(token);
  }, part.timeLimitMs);
  const output = await passOn(child.stdout, isAside);
  const { code } = await child.status;
  clearTimeout(timer);
  running.delete(child);
  if (isAside) console.log(`${title}\n${output}`);
  tell(await removeLeftovers(token), `Left behind by ${part.name}, removed`);
  if (isAside) await Deno.remove(`${CACHE}/test-runs/${token}`).catch(() => {});
  const junit = await Deno.readTextFile(reportPath).catch(() => "");
  await Deno.remove(reportPath).catch(() => {});
  return {
    part,
    counts: summary.readCounts(output, code),
    seconds: (performance.now() - startedMs) / 1000,
    files: summary.readDurations(junit),
  };
}

/** Shows output as it comes, unless it is kept for later, and returns all of it. */
async function passOn(stream: ReadableStream<Uint8Array>, isKept: boolean): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    if (!isKept) Deno.stdout.writeSync(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

async function reportSkips(): Promise<void> {
  const reasons = (await Deno.readTextFile(skipReasonsPath).catch(() => "")).split("\n");
  const distinct = [...new Set(reasons)].filter((reason) => reason !== "").sort();
  if (distinct.length === 0) return;
  console.log(`\n!!! SKIPPED TESTS: this machine lacks something they need
${distinct.map((reason) => `!!!   ${reason}`).join("\n")}
!!! Packages come with one command: ${SETUP_COMMAND}`);
  if (distinct.some((reason) => reason.includes("root"))) {
    console.log("!!! Namespaces and TUN devices need root: run the tests as root for these.");
  }
}

function report(results: readonly PartResult[]): void {
  console.log("\npart              passed  failed skipped  seconds");
  for (const { part, counts, seconds } of results) {
    const figures = [counts.passed, counts.failed, counts.skipped]
      .map((count) => String(count).padStart(8)).join("");
    console.log(`${part.name.padEnd(16)}${figures}${seconds.toFixed(1).padStart(9)}`);
  }
  const slowest = results.flatMap((result) => result.files)
    .sort((left, right) => right.seconds - left.seconds).slice(0, SLOWEST_COUNT);
  if (slowest.length > 0) console.log("\nslowest files, seconds");
  for (const { file, seconds } of slowest) {
    console.log(`${seconds.toFixed(1).padStart(7)}  ${file}`);
  }
  console.log();
}

function tell(lines: readonly string[], title: string): void {
  if (lines.length > 0) console.log(`${title}: ${lines.join(", ")}`);
}

async function cleanUp(): Promise<void> {
  const tokens = new Set([runToken, ...running.values()]);
  for (const child of running.keys()) {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
  for (const token of tokens) await removeLeftovers(token);
  const runs = [...tokens].map((token) => `${CACHE}/test-runs/${token}`);
  for (const path of [skipReasonsPath, ...runs]) {
    await Deno.remove(path).catch(() => {});
  }
}
