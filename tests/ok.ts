/**
 * `deno task ok`: everything that can be said without the machine's help, in the order of cost.
 * With `--static` without the tests, for those who run `deno task test` anyway (.ci/run).
 */
import { docLint } from "./runner/doc_lint.ts";
import { denoTestArgs, planParts } from "./runner/parts.ts";

Deno.chdir(`${import.meta.dirname}/../`);
const [unit] = planParts(["golden", "runner", "sim", "structure"]);
await Deno.mkdir(".cache", { recursive: true });
/** A registry behind a firewall that drops packets does not refuse: it never answers. */
const AUDIT_MS_MAX = 60_000;
const reportPath = ".cache/report-ok.xml";

const steps: Record<string, () => Promise<boolean>> = {
  "lockfile": () => deno("install", "--frozen"),
  // Known weaknesses of what the lock file names.
  "audit": audit,
  "format": () => deno("fmt", "--check"),
  "lint": () => deno("lint"),
  "types": () => deno("check", "."),
  "doc lint": docLint,
};
if (!Deno.args.includes("--static")) {
  const present: string[] = [];
  for (const path of unit.paths) {
    if (await Deno.stat(path).then(() => true, () => false)) present.push(path);
  }
  steps["unit tests and doc examples"] = () =>
    deno(...denoTestArgs({ ...unit, paths: present }, { reportPath }));
}

const failed: string[] = [];
for (const [name, step] of Object.entries(steps)) {
  const startedMs = performance.now();
  console.log(`=== ${name} ===`);
  if (!await step()) failed.push(name);
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
}
await Deno.remove(reportPath).catch(() => {});
console.log(failed.length === 0 ? "ok" : `failed: ${failed.join(", ")}`);
Deno.exit(failed.length === 0 ? 0 : 1);

/** A registry that cannot be reached, or does not tell, is no failure, but nothing to be silent of. */
async function audit(): Promise<boolean> {
  const limit = AbortSignal.timeout(AUDIT_MS_MAX);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["audit", "--ignore-registry-errors"],
    signal: limit,
  }).output();
  const printed = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  console.log(printed);
  if (!limit.aborted && !/Failed to get data from the registry/.test(printed)) return success;
  console.log("WARNING: KNOWN WEAKNESSES WERE NOT LOOKED UP: the registry could not be asked");
  return true;
}

async function deno(...args: string[]): Promise<boolean> {
  return (await new Deno.Command(Deno.execPath(), { args }).spawn().status).success;
}
