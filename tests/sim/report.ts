import { MUTATIONS } from "../../src/testing/simulation/mutations.ts";
import type { BatchResult } from "../../src/testing/simulation/batch.ts";
import { FAULT_KINDS } from "../../src/testing/simulation/fault_plan.ts";
import type { Farm } from "../../src/testing/simulation/farm.ts";
import { catchMutation } from "./catch_mutation.ts";

const RESULTS = new URL("../../docs/results.md", import.meta.url);
const TITLE = "## Simulation";
const MUTATION_SEEDS_MAX = 1_000;
const COLUMNS = 3;

/** What was run, and how long it took. */
export interface Measured {
  readonly firstSeed: number;
  readonly seconds: number;
  readonly workers: number;
  readonly result: BatchResult;
}

/** Writes the section on the simulator into docs/results.md, in place of the one that is there. */
export async function writeReport(farm: Farm, measured: Measured): Promise<void> {
  const section = `${TITLE}\n\n${seedsText(measured)}\n${await mutationsText(farm)}`;
  const text = await Deno.readTextFile(RESULTS);
  const at = text.indexOf(`${TITLE}\n`);
  const next = at < 0 ? -1 : text.indexOf("\n## ", at + TITLE.length);
  const before = at < 0 ? `${text.trimEnd()}\n\n` : text.slice(0, at);
  const after = next < 0 ? "" : text.slice(next);
  await Deno.writeTextFile(RESULTS, `${before}${section.trimEnd()}\n${after}`);
}

function seedsText({ firstSeed, seconds, workers, result }: Measured): string {
  const { seeds, steps, virtualMs, counts, broken } = result;
  const faults = FAULT_KINDS.map((kind) => [kind, counts[`fault ${kind}`] ?? 0] as const);
  const sum = faults.reduce((total, [, times]) => total + times, 0);
  const ends = ["completed", "failed", "cancelled", "seeded"]
    .map((kind) => `${counts[`source ${kind}`] ?? 0} ${kind}`).join(", ");
  return `Two whole gateways in one virtual world for each seed ([how](testing.md#simulated-worlds)),
\`deno task sim --report\`: ${seeds} seeds from ${firstSeed} on ${workers} threads in
${seconds.toFixed(0)} s, ${(seeds / seconds).toFixed(0)} seeds/s; each has
${Math.round(steps / seeds)} steps and ${(virtualMs / seeds / 1000).toFixed(1)} s of virtual time.
Seeds that broke a rule: ${broken.length}. Moves as their sources ended: ${ends}. Faults: ${sum}.

${table(["fault", "times"], faults.map(([kind, times]) => [kind, String(times)]), COLUMNS)}`;
}

async function mutationsText(farm: Farm): Promise<string> {
  const rows: string[][] = [];
  for (const { name } of MUTATIONS) {
    const caught = await catchMutation(farm, name, MUTATION_SEEDS_MAX);
    const byOutcome = await catchMutation(farm, name, MUTATION_SEEDS_MAX, false);
    const shown = (found: typeof caught) => found ? `${found.seeds}, ${found.rule}` : "not caught";
    rows.push([name, shown(caught), shown(byOutcome)]);
    console.log(rows.at(-1)!.join(" | "));
  }
  return `
Deliberate bugs, and how many seeds from 1 on it took until one broke a rule, and which: with every
check, and with those alone that look at what comes of an effect, not whether its record was there
before.

${table(["bug", "every check", "outcome alone"], rows, 1)}`;
}

/** A Markdown table; `side` rows stand beside each other. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  side: number,
): string {
  const height = Math.ceil(rows.length / side);
  const columns = Array.from({ length: side }, (_, i) => rows.slice(i * height, (i + 1) * height));
  const empty = head.map(() => "");
  const lines = [
    Array.from({ length: side }, () => head).flat(),
    Array.from({ length: side * head.length }, () => "---"),
    ...Array.from({ length: height }, (_, row) => columns.flatMap((each) => each[row] ?? empty)),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n") + "\n";
}
