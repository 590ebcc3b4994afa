/**
 * What a plan says of a move, against what then comes: reference machines of three loads between two
 * gateway processes over the link emulator, each with fresh sites, and a real machine.
 *
 *     bench/plan.ts [--profiles congested-dsl,…] [--loads light,medium,heavy] [--scale 1] [--seed 1]
 *                   [--no-qemu] [--json FILE] [--results FILE]
 *
 * With `--results` the table takes the place of the one between the marks in that file.
 */
import { parseArgs } from "node:util";
import { missingRequirements } from "../src/testing/requirements.ts";
import { LOADS, PROFILES } from "./plan/cases.ts";
import { measurePlan, measureQemu, type PlanMeasurement } from "./plan/measure.ts";
import { durationError, markdown } from "./plan/table.ts";
import { setting } from "./setting.ts";

const BEGIN = "<!-- bench/plan.ts begins -->";
const END = "<!-- bench/plan.ts ends -->";
const QEMU_PROFILE = "transatlantic";

const { values } = parseArgs({
  args: Deno.args,
  allowNegative: true,
  options: {
    profiles: { type: "string", default: PROFILES.join(",") },
    loads: { type: "string", default: LOADS.map(({ name }) => name).join(",") },
    scale: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    qemu: { type: "boolean", default: true },
    json: { type: "string" },
    results: { type: "string" },
  },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => Deno.exit(130));
}
const seed = Number(values.seed);
const loads = values.loads.split(",");
const measured: PlanMeasurement[] = [];
const note = (measurement: PlanMeasurement) => {
  measured.push(measurement);
  const { profile, load, plan, report, loadAverage } = measurement;
  const error = durationError(measurement);
  console.error(
    `${profile} ${load}: ${plan.strategies[0].totalMs?.expected} ms forecast, ` +
      `${report.totalMs} ms came (${report.state}), off by ` +
      `${error === null ? "-" : (error * 100).toFixed(0)} %, load ${loadAverage.toFixed(1)}`,
  );
};

for (const profile of values.profiles.split(",")) {
  for (const load of LOADS.filter(({ name }) => loads.includes(name))) {
    note(await measurePlan({ profile, load, seed, scale: Number(values.scale) }));
  }
}
if (values.qemu) {
  const lacking = await missingRequirements("qemu", "guestImage", "cpio");
  if (lacking.length > 0) console.log(`SKIPPED QEMU: ${lacking.join("; ")}`);
  else note(await measureQemu(QEMU_PROFILE, seed));
}

const { commit, deno, cores, processor } = await setting();
const highest = Math.max(...measured.map(({ loadAverage }) => loadAverage));
const lines = [
  ...markdown(measured),
  "",
  `Seed ${seed}. Machine: ${cores} shared cores (${processor}), loads up to ${
    highest.toFixed(1)
  }, ` +
  `Deno ${deno}, commit ${commit}.`,
];
console.log(lines.join("\n"));
if (values.results !== undefined) {
  const text = await Deno.readTextFile(values.results);
  const [before, rest] = text.split(BEGIN);
  const [, after] = rest.split(END);
  const table = [BEGIN, "", ...lines, "", END].join("\n");
  await Deno.writeTextFile(values.results, before + table + after);
}
if (values.json !== undefined) {
  const document = { ...await setting(), seed, scale: Number(values.scale), measured };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
