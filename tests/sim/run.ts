/**
 * `deno task sim`: whole gateways in simulated worlds, one for each seed. Exit code 1 where a rule
 * was broken.
 */
import { parseArgs } from "node:util";
import { Farm } from "../../src/testing/simulation/farm.ts";
import { simulate } from "../../src/testing/simulation/world.ts";
import { commandOf } from "./command.ts";
import { writeReport } from "./report.ts";

const USAGE =
  `Usage: deno task sim [--seeds COUNT] [--from SEED] [--workers COUNT] [--counts] [--report]
       deno task sim --seed SEED [--trace] [--without FAULT,FAULT] [--minimize]`;
const WORKERS = 2;
const SEEDS = 1_000;

const options = readOptions();
Deno.exit(options.seed === undefined ? await many() : await one(numberOf(options.seed)));

async function many(): Promise<number> {
  const firstSeed = numberOf(options.from ?? "1");
  const seeds = numberOf(options.seeds ?? String(SEEDS));
  const workers = numberOf(options.workers ?? String(WORKERS));
  const startedMs = performance.now();
  using farm = new Farm(workers);
  const result = await farm.run({
    firstSeed,
    seeds,
    onBatch: (result) => {
      for (const { seed, rule, detail } of result.broken) {
        console.log(`seed ${seed}: ${rule}: ${detail}\n  ${commandOf(seed)}`);
      }
    },
  });
  const { broken, steps, virtualMs } = result;
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `${seeds} seeds from ${firstSeed}: ${broken.length} broke a rule; ${seconds.toFixed(1)} s, ` +
      `${(seeds / seconds).toFixed(0)} seeds/s, ${Math.round(steps / seeds)} steps and ` +
      `${(virtualMs / seeds / 1000).toFixed(1)} s of virtual time each`,
  );
  if (options.counts) {
    const counts = Object.entries(result.counts).sort(([a], [b]) => a < b ? -1 : 1);
    for (const [name, times] of counts) console.log(`${String(times).padStart(8)} ${name}`);
  }
  if (options.report) await writeReport(farm, { firstSeed, seconds, workers, result });
  return broken.length > 0 ? 1 : 0;
}

async function one(seed: number): Promise<number> {
  const leftOut = new Set((options.without ?? "").split(",").filter(Boolean).map(Number));
  const tell = options.trace ? (line: string) => console.log(line) : undefined;
  const outcome = await simulate({ seed, tell, leftOut });
  if (outcome.violation === null) {
    console.log(`seed ${seed} breaks no rule`);
    return 0;
  }
  if (options.minimize) {
    // One after the other: what is not needed to break the rule goes.
    for (let fault = 0; fault < outcome.faultCount; fault++) {
      const without = new Set([...leftOut, fault]);
      const { violation } = await simulate({ seed, leftOut: without });
      if (violation?.rule === outcome.violation.rule) leftOut.add(fault);
    }
    console.log(`${commandOf(seed)} --without ${[...leftOut].join(",")}`);
    return 1;
  }
  if (!options.trace) { for (const line of outcome.lines) console.log(line); }
  console.log(`seed ${seed}: ${outcome.violation.rule}: ${outcome.violation.detail}`);
  if (!options.trace) console.log(`  ${commandOf(seed)}`);
  return 1;
}

function numberOf(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) usage(`${text} is no whole number`);
  return value;
}

function readOptions() {
  const string = { type: "string" } as const;
  const boolean = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: Deno.args,
      options: {
        seed: string,
        seeds: string,
        from: string,
        workers: string,
        without: string,
        trace: boolean,
        minimize: boolean,
        report: boolean,
        counts: boolean,
      },
    }).values;
  } catch (error) {
    return usage((error as Error).message);
  }
}

function usage(problem: string): never {
  console.error(`${problem}\n${USAGE}`);
  Deno.exit(2);
}
