/**
 * What a move costs its two gateways: CPU seconds per GiB of the guest and peak memory, each
 * gateway in a process of its own, QUIC over the loopback.
 *
 *     bench/gateway_cost.ts [--memory-mib 1024,4096] [--disk-mib 64] [--repeat 3] [--seed 1]
 *                           [--profile metro] [--cpu-profile] [--deno-flag=FLAG]… [--json FILE]
 */
import { parseArgs } from "node:util";
import { type CostMeasurement, measureCost } from "./cost/measure.ts";
import { availableBytes } from "./cost/process_cost.ts";
import { costRow, growthLines, HEADER, profileLines } from "./cost/report.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;
/** Both ends of the guest, and as much for everything else. */
const BYTES_PER_GUEST_BYTE = 2.2;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    "memory-mib": { type: "string", default: "1024,4096" },
    "disk-mib": { type: "string", default: "64" },
    repeat: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    profile: { type: "string" },
    "cpu-profile": { type: "boolean", default: false },
    "deno-flag": { type: "string", multiple: true, default: [] },
    json: { type: "string" },
  },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => Deno.exit(130));
}
const diskMiB = Number(values["disk-mib"]);
const profile = values.profile ?? null;
const results: { memoryMiB: number; runs: CostMeasurement[] }[] = [];

console.log(HEADER);
for (const memoryMiB of values["memory-mib"].split(",").map(Number)) {
  const neededBytes = memoryMiB * MIB * BYTES_PER_GUEST_BYTE;
  if (neededBytes > await availableBytes()) {
    console.log(`SKIPPED: a guest of ${memoryMiB} MiB needs ${neededBytes / MIB} MiB of memory`);
    continue;
  }
  const runs: CostMeasurement[] = [];
  for (let run = 0; run < Number(values.repeat); run++) {
    runs.push(
      await measureCost({
        memoryMiB,
        diskMiB,
        seed: Number(values.seed) + run,
        profile,
        profiled: values["cpu-profile"],
        denoFlags: values["deno-flag"],
      }),
    );
  }
  results.push({ memoryMiB, runs });
  console.log(costRow(memoryMiB, runs));
  for (const line of profileLines(runs[0])) console.log(line);
}
for (const line of growthLines(results)) console.log(line);
if (values.json !== undefined) {
  const document = { ...await setting(), diskMiB, profile, results };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
