import { GatewayError } from "../../core/errors.ts";
import type { Row } from "../row.ts";
import type { Scenario } from "../schema.ts";
import { csvOf } from "./csv.ts";
import { markdownReport } from "./markdown.ts";
import { type Plot, plotsOf } from "./plots.ts";

const ROOT = `${import.meta.dirname}/../../..`;

/**
 * Writes `rows.csv`, `report.md` and `plots/*.svg` into the folder of an experiment.
 *
 * @throws {GatewayError} `internal` when the plots cannot be drawn; the rest is there then
 */
export async function writeReport(
  directory: string,
  scenario: Scenario,
  rows: readonly Row[],
): Promise<void> {
  const plots = plotsOf(rows);
  await Deno.writeTextFile(`${directory}/rows.csv`, csvOf(rows));
  await Deno.writeTextFile(`${directory}/report.md`, markdownReport({ scenario, rows, plots }));
  if (plots.length > 0) await draw(directory, plots);
}

async function draw(directory: string, plots: readonly Plot[]): Promise<void> {
  await Deno.mkdir(`${directory}/plots`, { recursive: true });
  const absolute = await Deno.realPath(directory);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--frozen", "--config", `${ROOT}/deno.json`],
      `--allow-write=${absolute}/plots`,
      `${import.meta.dirname}/../plots/render_process.ts`,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const input = plots.map(({ file, spec }) => ({ path: `${absolute}/${file}`, spec }));
  const writer = child.stdin.getWriter();
  // A process that has ended says why on its standard error.
  await writer.write(new TextEncoder().encode(JSON.stringify(input))).catch(() => {});
  await writer.close().catch(() => {});
  const { success, stderr } = await child.output();
  if (success) return;
  throw new GatewayError("internal", "Cannot draw the plots of the report", {
    hint: new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" "),
  });
}
