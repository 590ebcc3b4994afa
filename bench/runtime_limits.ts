/**
 * What the runtime itself takes for the bytes of a move, each step alone: the floor under the
 * figures of `gateway_cost.ts`.
 *
 *     bench/runtime_limits.ts [--mib 256] [--repeat 5] [--step TEXT] [--json FILE]
 */
import { parseArgs } from "node:util";
import { STEPS } from "./limits/steps.ts";
import { machinePages } from "./limits/pages.ts";
import { setting } from "./setting.ts";
import { cpuSeconds } from "./limits/cpu.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    mib: { type: "string", default: "256" },
    repeat: { type: "string", default: "5" },
    step: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const pages = machinePages(Number(values.mib) * MIB);
const results: { step: string; cpuSecondsPerGiB: number[]; note: string }[] = [];

console.log("step                                       CPU s/GiB (least-most)     note");
for (const { name, prepare } of STEPS) {
  if (!name.includes(values.step)) continue;
  const run = prepare(pages);
  const costs: number[] = [];
  let note = "";
  for (let i = 0; i < Number(values.repeat); i++) {
    const before = cpuSeconds();
    note = await run() ?? "";
    costs.push((cpuSeconds() - before) / (pages.byteLength / GIB));
  }
  costs.sort((left, right) => left - right);
  results.push({ step: name, cpuSecondsPerGiB: costs, note });
  const shown = (value: number) => value.toFixed(2);
  const spread = `(${shown(costs[0])}-${shown(costs.at(-1)!)})`;
  const median = costs[Math.floor(costs.length / 2)];
  console.log(`${name.padEnd(43)}${shown(median).padEnd(7)}${spread.padEnd(20)}${note}`);
}
if (values.json !== undefined) {
  const document = { ...await setting(), mib: Number(values.mib), results };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
