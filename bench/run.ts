/**
 * `deno task bench`: every bench with its canonical inputs, or with tiny ones that only show that it
 * runs.
 *
 *     bench/run.ts [--quick] [--only NAME,NAME] [--out DIR]
 *
 * With `--out`, each writes its runs and where they were made to `DIR/NAME.json`.
 */
import { parseArgs } from "node:util";
import { missingRequirements, type Requirement } from "../src/testing/requirements.ts";

interface Bench {
  readonly name: string;
  readonly script: string;
  readonly quickArgs: readonly string[];
  readonly needs: readonly Requirement[];
}

const BENCHES: readonly Bench[] = [
  {
    name: "limits",
    script: "runtime_limits.ts",
    quickArgs: ["--mib", "4", "--repeat", "1"],
    needs: [],
  },
  {
    name: "api",
    script: "api.ts",
    quickArgs: ["--clients", "8", "--wrong", "100", "--seconds", "1"],
    needs: [],
  },
  { name: "store", script: "store.ts", quickArgs: ["--quick"], needs: [] },
  { name: "disk", script: "disk_round.ts", quickArgs: ["--quick"], needs: [] },
  {
    name: "cost",
    script: "gateway_cost.ts",
    quickArgs: ["--memory-mib", "8,16", "--disk-mib", "1", "--repeat", "1"],
    needs: [],
  },
  {
    name: "goodput",
    script: "goodput.ts",
    quickArgs: ["--profiles", "metro", "--seconds", "4", "--repeat", "1"],
    needs: ["namespaces", "tun"],
  },
  {
    name: "share",
    script: "share.ts",
    quickArgs: [
      "--parts",
      "step",
      "--profiles",
      "transatlantic",
      "--seconds",
      "1",
      "--repeat",
      "1",
    ],
    needs: ["namespaces", "tun"],
  },
  {
    name: "codec",
    script: "codec.ts",
    quickArgs: ["--quick", "--no-guest"],
    // The Linux guest is one of its cases, which says by itself that it was skipped.
    needs: [],
  },
  {
    name: "free",
    script: "free_pages.ts",
    quickArgs: ["--guests", "reference", "--memory-mib", "16", "--repeat", "1"],
    needs: [],
  },
  {
    name: "bytes",
    script: "bytes.ts",
    quickArgs: ["--quick"],
    needs: ["qemu", "guestImage", "namespaces", "tun"],
  },
  {
    name: "redirect",
    script: "redirect.ts",
    quickArgs: ["--quick"],
    needs: ["qemu", "guestImage", "namespaces", "tun", "nftables", "iperf3"],
  },
  {
    name: "downtime",
    script: "downtime.ts",
    quickArgs: ["--quick"],
    needs: ["qemu", "guestImage", "namespaces", "tun"],
  },
  {
    name: "converge",
    script: "converge.ts",
    quickArgs: ["--quick"],
    needs: ["qemu", "guestImage", "namespaces", "tun"],
  },
  {
    name: "fidelity",
    script: "fidelity.ts",
    quickArgs: ["--quick"],
    // The guest image's busybox pings.
    needs: ["iperf3", "guestImage", "namespaces", "tun"],
  },
  {
    name: "plan",
    script: "plan.ts",
    quickArgs: ["--profiles", "metro", "--loads", "light", "--scale", "0.3", "--no-qemu"],
    // A real machine is one of its cases, which says by itself that it was skipped.
    needs: [],
  },
  { name: "outages", script: "outages.ts", quickArgs: ["--quick"], needs: ["qemu", "guestImage"] },
  { name: "crashes", script: "crashes.ts", quickArgs: ["--quick"], needs: ["qemu", "guestImage"] },
];

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: BENCHES.map(({ name }) => name).join(",") },
    out: { type: "string" },
  },
});
const chosen = values.only.split(",").map((only) => {
  const bench = BENCHES.find(({ name }) => name === only);
  if (bench !== undefined) return bench;
  const known = BENCHES.map(({ name }) => name).join(", ");
  console.error(`Cannot run a bench named ${only}: there are ${known}`);
  Deno.exit(2);
});
if (values.out !== undefined) await Deno.mkdir(values.out, { recursive: true });

let failures = 0;
for (const { name, script, quickArgs, needs } of chosen) {
  console.log(`\n== ${name}`);
  const lacking = await missingRequirements(...needs);
  if (lacking.length > 0) {
    console.log(`SKIPPED: ${lacking.join("; ")}`);
    continue;
  }
  const args = [
    ...(values.quick ? quickArgs : []),
    ...(values.out === undefined ? [] : ["--json", `${values.out}/${name}.json`]),
  ];
  const { success } = await new Deno.Command(Deno.execPath(), {
    // Each starts whole gateways or namespaces, and what those may do is not for a bench to say.
    args: ["run", "--quiet", "--allow-all", `${import.meta.dirname}/${script}`, ...args],
    cwd: `${import.meta.dirname}/..`,
  }).spawn().status;
  if (!success) failures++;
}
if (failures > 0) {
  console.error(`${failures} of ${chosen.length} benches failed`);
  Deno.exit(1);
}
