/**
 * What wrong tokens do to those who have right ones: many clients at once, alone, beside thousands of
 * wrong tokens, and after them; the gateway in a process of its own.
 *
 *     bench/api.ts [--clients 200] [--wrong 10000] [--seconds 8] [--json FILE]
 *
 * Wrong tokens come from the clients' own address and from another one. Ends with 1 when a client
 * with a good token was answered anything but 200.
 */
import { parseArgs } from "node:util";
import type { Answers } from "./api/load.ts";
import { measureApi } from "./api/measure.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    clients: { type: "string", default: "200" },
    wrong: { type: "string", default: "10000" },
    seconds: { type: "string", default: "8" },
    json: { type: "string" },
  },
});
const load = {
  clients: Number(values.clients),
  wrongTokens: Number(values.wrong),
  seconds: Number(values.seconds),
};
const measured = await measureApi(load);

console.log(`${load.clients} clients, ${load.wrongTokens} wrong tokens, ${load.seconds} s each`);
console.log("                            answers    req/s   p50 ms   p99 ms   max ms");
row("clients, alone", measured.before);
row("clients, beside wrong ones", measured.during);
row("clients, after them", measured.after);
row("wrong tokens", measured.wrong);
row("new token, elsewhere", measured.operator);
row("new token, locked address", measured.newcomer);
const { before, during, after } = measured.residentBytes;
console.log(`gateway's memory: ${[before, during, after].map(mib).join(", ")}`);
console.log(
  `audit entries: ${measured.auditEntries}; told when to come again: ${measured.wrong.told}`,
);
if (values.json !== undefined) {
  const document = { ...await setting(), ...load, measured };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
const good = [measured.before, measured.during, measured.after, measured.operator];
if (good.some(({ byStatus }) => Object.keys(byStatus).some((status) => status !== "200"))) {
  console.error("A client with a good token was refused");
  Deno.exit(1);
}

function row(name: string, { byStatus, perSecond, p50Ms, p99Ms, maxMs }: Answers): void {
  const answers = Object.entries(byStatus).map(([status, count]) => `${status}: ${count}`).join(
    " ",
  );
  const figures = [perSecond, p50Ms, p99Ms, maxMs].map((value) => value.toFixed(1).padStart(9));
  console.log(`${name.padEnd(28)}${answers}${figures.join("")}`);
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
