import { draw } from "../plots/draw.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../schema.ts";
import { csvOf } from "./csv.ts";
import { markdownReport } from "./markdown.ts";
import { plotsOf } from "./plots.ts";

/**
 * Writes `rows.csv`, `report.md` and `plots/*.svg` into the folder of an experiment.
 *
 * @returns why there are no plots; null: they are there
 */
export async function writeReport(
  directory: string,
  scenario: Scenario,
  rows: readonly Row[],
): Promise<string | null> {
  const absolute = await Deno.realPath(directory);
  await Deno.mkdir(`${absolute}/plots`, { recursive: true });
  const plots = plotsOf(rows);
  const drawings = plots.map(({ file, spec }) => ({ path: `${absolute}/${file}`, spec }));
  const failure = plots.length === 0 ? null : await draw(`${absolute}/plots`, drawings);
  const drawn = failure === null ? plots : [];
  await Deno.writeTextFile(`${absolute}/rows.csv`, csvOf(rows));
  await Deno.writeTextFile(
    `${absolute}/report.md`,
    markdownReport({ scenario, rows, plots: drawn }),
  );
  return failure;
}
