/**
 * Whether both emulators do what a profile says, as seen from outside: ping and iperf3 (UDP and TCP)
 * through the IP-level link, a client and a server with the UDP relay between them. Root only.
 *
 *     bench/fidelity.ts [--profiles A,B] [--emulators tun,relay] [--seed 1] [--quick] [--json FILE]
 */
import { parseArgs } from "node:util";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { type Finding, findingLines } from "./fidelity/judge.ts";
import type { FidelityOptions } from "./fidelity/options.ts";
import { measureRelay } from "./fidelity/relay.ts";
import { measureTun } from "./fidelity/tun.ts";
import { setting } from "./setting.ts";

const PROFILES = ["metro", "transatlantic", "lossy-intercontinental", "geo-satellite"];

const { values } = parseArgs({
  args: Deno.args,
  options: {
    profiles: { type: "string" },
    emulators: { type: "string", default: "tun,relay" },
    seed: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const { quick } = values;
const names = (values.profiles ?? (quick ? "congested-dsl" : PROFILES.join(","))).split(",");
const emulators = values.emulators.split(",");
const options: FidelityOptions = {
  seed: Number(values.seed),
  seconds: quick ? 5 : 12,
  lossPackets: quick ? 5_000 : 100_000,
  pings: quick ? 10 : 50,
};

const findings: Finding[] = [];
for (const name of names) {
  const profile = await loadProfile(name);
  if (emulators.includes("tun")) findings.push(...await measureTun(profile, options));
  if (emulators.includes("relay")) findings.push(...await measureRelay(profile, name, options));
}
for (const line of findingLines(findings)) console.log(line);
const count = (verdict: Finding["verdict"]) =>
  findings.filter((found) => found.verdict === verdict).length;
console.log(
  `${count("agrees")} of ${findings.length} agree with the profile, ${count("away")} do not, ` +
    `of ${count("unsure")} the computer was too busy to tell`,
);
if (values.json !== undefined) {
  const document = {
    ...await setting(),
    at: new Date().toISOString(),
    load: Deno.loadavg()[0],
    options,
    findings,
  };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
Deno.exit(count("away") > 0 ? 1 : 0);
