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
import { denoTestArgs, onlyMatching, type Part, planParts } from "./runner/parts.ts";
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
let running: Deno.ChildProcess | null = null;

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
for (const part of await chooseParts()) results.push(await runPart(part));
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

async function runPart(part: Part): Promise<PartResult> {
  console.log(`\n=== ${part.name} ===`);
  const startedMs = performance.now();
  const reportPath = `${CACHE}/report-${runToken}.xml`;
  running = new Deno.Command(Deno.execPath(), {
    args: denoTestArgs(part, { filter: options.filter, reportPath }),
    env: { [RUN_TOKEN_VARIABLE]: runToken, CAUSEWAY_SKIP_REASONS: skipReasonsPath },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const child = running;
  const timer = setTimeout(() => {
    console.error(`\n${part.name} takes longer than ${part.timeLimitMs / 1000} s: ended`);
    child.kill("SIGKILL");
    // Children that hold its output would keep this part from ending.
    void removeLeftovers(runToken);
  }, part.timeLimitMs);
  const output = await passOn(child.stdout);
  const { code } = await child.status;
  clearTimeout(timer);
  running = null;
  tell(await removeLeftovers(runToken), `Left behind by ${part.name}, removed`);
  const junit = await Deno.readTextFile(reportPath).catch(() => "");
  await Deno.remove(reportPath).catch(() => {});
  return {
    part,
    counts: summary.readCounts(output, code),
    seconds: (performance.now() - startedMs) / 1000,
    files: summary.readDurations(junit),
  };
}

/** Shows output as it comes and returns all of it. */
async function passOn(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    Deno.stdout.writeSync(chunk);
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
  try {
    running?.kill("SIGKILL");
  } catch {
    // It has ended.
  }
  await removeLeftovers(runToken);
  for (const path of [skipReasonsPath, `${CACHE}/test-runs/${runToken}`]) {
    await Deno.remove(path).catch(() => {});
  }
}
