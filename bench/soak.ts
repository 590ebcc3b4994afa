/**
 * `deno task soak`: a machine moves back and forth between two gateway processes over an emulated
 * link with random outages, verifies itself after every move, and the gateways must not grow.
 *
 *     bench/soak.ts [--minutes 1] [--guest reference|qemu] [--seed 1] [--profile transatlantic]
 *                   [--kills] [--json FILE] [--raise-priority]
 *
 * `--kills` also kills gateways now and then; a supervisor starts them again. Exit code 1 when
 * something grows or is lost.
 */
import { parseArgs } from "node:util";
import { raisePriority } from "../src/testing/priority.ts";
import { setting } from "./setting.ts";
import { judge } from "./soak/judge.ts";
import { soak } from "./soak/run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "1" },
    guest: { type: "string", default: "reference" },
    seed: { type: "string", default: "1" },
    profile: { type: "string", default: "transatlantic" },
    kills: { type: "boolean", default: false },
    json: { type: "string" },
    "raise-priority": { type: "boolean", default: false },
  },
});
if (values.guest !== "reference" && values.guest !== "qemu") {
  throw new TypeError("A guest is reference or qemu");
}
const options = {
  minutes: Number(values.minutes),
  guest: values.guest,
  seed: Number(values.seed),
  profile: values.profile,
  kills: values.kills,
} as const;
if (values["raise-priority"]) await raisePriority(Deno.pid);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => Deno.exit(130));
}

console.log(`soak: ${JSON.stringify(options)}`);
const result = await soak({ ...options, onMove: (text) => console.log(text) });
const judgements = judge(result);
const downtimes = result.downtimesMs.toSorted((left, right) => left - right);
const ends = Object.entries(result.ends).map(([state, count]) => `${count} ${state}`).join(", ");
console.log(`\n${result.seconds.toFixed(0)} s: moves ${ends}; ${result.verified} times verified`);
console.log(
  `outages ${result.outages} (${result.outageSeconds.toFixed(1)} s), kills ${result.kills}, ` +
    `wire ${(result.wireBytes / 1e6).toFixed(1)} MB, sent again ` +
    `${(result.resentBytes / 1e6).toFixed(2)} MB, downtime median ` +
    `${downtimes[downtimes.length >> 1] ?? "-"} ms, most ${downtimes.at(-1) ?? "-"} ms`,
);
for (const { site, figure, text, grows } of judgements) {
  console.log(`${grows ? "GROWS" : "ok   "}  ${site}  ${figure.padEnd(9)} ${text}`);
}
if (values.json !== undefined) {
  const document = { ...await setting(), options, result, judgements };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
Deno.exit(judgements.some(({ grows }) => grows) ? 1 : 0);
