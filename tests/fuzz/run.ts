/**
 * `deno task fuzz [--parser NAME] [--seconds N] [--seed S]`: meets the parsers that others can reach
 * with hostile inputs, and prints for each how many, how they were met, and what must not have happened.
 * Exit code 1 after a finding; its input is written below `.cache/fuzz/`, and its line says how to meet
 * it again.
 */
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import type { CampaignResult } from "../../src/testing/fuzz/campaign.ts";
import { CORPUS, keepInput, readCorpus } from "../../src/testing/fuzz/corpus.ts";
import { openTarget, targetNames } from "../../src/testing/fuzz/targets/index.ts";
import { WatchedFuzzer } from "../../src/testing/fuzz/watched.ts";

const USAGE =
  `Usage: deno task fuzz [--parser NAME]... [--seconds N] [--seed S] [--keep] [--json FILE]
  --parser NAME  one of: ${targetNames().join(", ")}; default all of them
  --seconds N    for each parser; default 10
  --seed S       whole number; default 1
  --keep         adds inputs that met with something new to tests/fuzz/corpus/
  --json FILE    writes the figures`;
const FOUND = pathToFileURL(`${Deno.cwd()}/.cache/fuzz/`);

const { parsers, seconds, seed, keep, json } = options();
const results: CampaignResult[] = [];
const fuzzer = new WatchedFuzzer();
console.log("parser                 executions  per second      read   refused    ways  findings");
for (const name of parsers) {
  const corpus = await readCorpus(name);
  const result = await fuzzer.run(name, {
    kept: corpus.map(({ input }) => input),
    budget: { seed, executions: Infinity, seconds },
    shrinks: keep,
  });
  results.push(result);
  console.log(line(result));
  await tell(result);
  if (keep) await keepNovel(result);
}
fuzzer.close();
if (json !== null) {
  const figures = results.map(({ findings, novel: _, ...figures }) => ({
    ...figures,
    findings: findings.length,
  }));
  await Deno.writeTextFile(json, JSON.stringify({ seed, seconds, results: figures }, null, 2));
}
const findings = results.reduce((sum, result) => sum + result.findings.length, 0);
const executions = results.reduce((sum, result) => sum + result.executions, 0);
console.log(`${executions} executions, ${findings} findings`);
Deno.exit(findings === 0 ? 0 : 1);

function options() {
  try {
    const { values } = parseArgs({
      options: {
        parser: { type: "string", multiple: true },
        seconds: { type: "string", default: "10" },
        seed: { type: "string", default: "1" },
        keep: { type: "boolean", default: false },
        json: { type: "string" },
      },
    });
    const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
    if (!(seconds > 0) || !Number.isSafeInteger(seed)) throw new RangeError("a number is none");
    const parsers = values.parser ?? targetNames();
    const unknown = parsers.find((name) => !targetNames().includes(name));
    if (unknown !== undefined) throw new RangeError(`there is no parser ${unknown}`);
    return { parsers, seconds, seed, keep: values.keep, json: values.json ?? null };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    Deno.exit(2);
  }
}

function line(
  { name, executions, seconds, read, refused, ways, findings }: CampaignResult,
): string {
  const perSecond = Math.round(executions / Math.max(seconds, 0.001));
  const figures = [[executions, 12], [perSecond, 12], [read, 10], [refused, 10], [ways, 8]]
    .map(([figure, width]) => String(figure).padStart(width)).join("");
  return `${name.padEnd(21)}${figures}${String(findings.length).padStart(10)}`;
}

async function tell({ name, findings }: CampaignResult): Promise<void> {
  if (findings.length === 0) return;
  const { form } = await openTarget(name).then(async (target) => {
    await target.close?.();
    return target;
  });
  for (const [number, { kind, input, detail }] of findings.entries()) {
    const path = await keepInput({ name, form }, `${seed}-${number}`, input, FOUND);
    console.log(`  ${kind}, ${input.length} bytes: ${path}\n  ${detail}`);
  }
}

/** Named after how they are met. */
async function keepNovel({ name, novel }: CampaignResult): Promise<void> {
  const { form } = await openTarget(name);
  for (const { signature, input } of novel) {
    const slug = signature.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60)
      .replace(/^-|-$/g, "") || "empty";
    await keepInput({ name, form }, slug, input, CORPUS);
  }
}
