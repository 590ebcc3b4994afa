/**
 * What a move puts on the wire with and without the memory that the machine calls free: the same
 * machine, moved by two gateways in one process over a path in memory, in turns.
 *
 *     bench/free_pages.ts [--guests reference,qemu] [--memory-mib 192] [--repeat 3] [--json FILE]
 *
 * A third of the memory is free and holds what was there before. The reference machine is asked to
 * send it or not; QEMU's balloon hints or does not, with a guest kernel that clears memory when it
 * allocates it (Debian's default) and with one that does not.
 */
import { parseArgs } from "node:util";
import { missingRequirements } from "../src/testing/requirements.ts";
import { qemuCases } from "./free/qemu_machine.ts";
import { referenceCases } from "./free/reference_machine.ts";
import type { FreeCase, FreeMeasurement } from "./free/measure.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;
const MB = 1e6;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    guests: { type: "string", default: "reference,qemu" },
    "memory-mib": { type: "string", default: "192" },
    repeat: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const memoryMiB = Number(values["memory-mib"]);
const cases: FreeCase[] = [];
for (const guest of values.guests.split(",")) {
  if (guest === "reference") cases.push(...referenceCases(memoryMiB));
  else if (guest === "qemu") {
    const lacking = await missingRequirements("qemu", "guestImage", "cpio");
    if (lacking.length > 0) console.log(`SKIPPED qemu: ${lacking.join("; ")}`);
    else cases.push(...qemuCases(memoryMiB));
  } else {
    console.error(`Cannot move a guest of kind ${guest}: there are reference, qemu`);
    Deno.exit(2);
  }
}

const results = cases.map(({ title }) => ({ title, runs: [] as FreeMeasurement[] }));
// In turns: what else this computer does meanwhile falls on all of them.
for (let run = 0; run < Number(values.repeat); run++) {
  for (const [number, { measure }] of cases.entries()) {
    results[number].runs.push(await measure(run + 1));
  }
}
console.log(
  "machine".padEnd(44) + "memory on the wire, MB".padEnd(26) + "free MiB".padEnd(11) +
    "zero MiB".padEnd(11) + "time s",
);
for (const { title, runs } of results) console.log(row(title, runs));
if (values.json !== undefined) {
  const document = { ...await setting(), memoryMiB, results };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}

/** Medians, and least and most of what matters. */
function row(title: string, runs: readonly FreeMeasurement[]): string {
  const wire = runs.map(({ memoryWireBytes }) => memoryWireBytes / MB);
  const figure = (of: (run: FreeMeasurement) => number, digits: number) =>
    median(runs.map(of)).toFixed(digits);
  const spread = `(${Math.min(...wire).toFixed(1)}-${Math.max(...wire).toFixed(1)})`;
  return title.padEnd(44) + `${median(wire).toFixed(1)} ${spread}`.padEnd(26) +
    figure(({ freeBytes }) => freeBytes / MIB, 1).padEnd(11) +
    figure(({ zeroBytes }) => zeroBytes / MIB, 1).padEnd(11) +
    figure(({ totalMs }) => totalMs / 1000, 1);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
