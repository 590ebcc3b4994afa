/**
 * What becomes of a real machine whose move is hit by SIGKILL: either gateway, both, or either QEMU,
 * at named points of the move; and what the next attempt sends again of the disk.
 *
 *     bench/crashes.ts [--only TEXT] [--points N] [--quick] [--json FILE] [--raise-priority]
 */
import { parseArgs } from "node:util";
import { raisePriority } from "../src/testing/priority.ts";
import { crash, type CrashOutcome, startSites } from "./crashes/measure.ts";
import { POINTS } from "./crashes/points.ts";
import { setting } from "./setting.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    only: { type: "string", default: "" },
    points: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
if (values["raise-priority"]) await raisePriority(Deno.pid);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => Deno.exit(130));
}
const chosen = POINTS.filter(({ name, victim }) => `${name}, ${victim}`.includes(values.only))
  .slice(0, values.quick ? 1 : Number(values.points ?? POINTS.length));
const outcomes: CrashOutcome[] = [];
const failures: string[] = [];
console.log(
  "point                 killed         move ends as                    owner  runs  " +
    "verified  settled  verified    retry  sent again",
);
let sites: Awaited<ReturnType<typeof startSites>> | null = null;
for (const point of chosen) {
  try {
    sites ??= await startSites();
    const outcome = await crash(sites, point);
    outcomes.push(outcome);
    console.log(row(outcome));
    if (outcome.running === "a") continue;
  } catch (error) {
    const text = `${point.name}, ${point.victim}: ${
      String((error as Error).message).slice(0, 600)
    }`;
    failures.push(text);
    console.log(`NO RESULT  ${text}`);
  }
  // The machine is not where the next move begins.
  await sites?.[Symbol.asyncDispose]();
  sites = null;
}
await sites?.[Symbol.asyncDispose]();
if (values.json !== undefined) {
  const document = { ...await setting(), outcomes, failures };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
const lost = outcomes.filter(({ victim, verified }) => !verified && victim !== "QEMU a");
console.log(
  `${outcomes.length} points, ${lost.length} without a whole machine, ${failures.length} without result`,
);
Deno.exit(lost.length + failures.length === 0 ? 0 : 1);

function row(outcome: CrashOutcome): string {
  const mb = (bytes: number | null) => bytes === null ? "-" : `${(bytes / 1e6).toFixed(2)} MB`;
  const { code, state, resentRatio } = outcome;
  return [
    outcome.point.padEnd(21),
    outcome.victim.padEnd(14),
    `${state}${code === null ? "" : ` (${code})`}`.padEnd(31),
    outcome.owner.padEnd(6),
    outcome.running.padEnd(5),
    (outcome.verified ? "yes" : "no").padEnd(8),
    `${(outcome.settledMs / 1000).toFixed(1)} s`.padStart(8),
    mb(outcome.verifiedBytes).padStart(9),
    mb(outcome.retryDiskBytes).padStart(8),
    (resentRatio === null ? "-" : `${(100 * resentRatio).toFixed(1)} %`).padStart(8),
  ].join(" ");
}
