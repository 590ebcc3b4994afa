/**
 * What the site's content store costs: putting contents that are new and contents that are known,
 * getting them, opening it again, making an offer; one core, files in the page cache.
 *
 *     bench/store.ts [--quick] [--mib 256] [--repeat 3] [--json FILE]
 */
import { randomFillSync } from "node:crypto";
import { parseArgs } from "node:util";
import { nameBuffer, nameContent, UNIT_BYTES } from "../src/image/content_name.ts";
import { SiteStore } from "../src/store/site_store.ts";
import { DISK } from "../src/store/slot_record.ts";
import { cpuSeconds } from "./limits/cpu.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;
const PEER = "sha256:bench";
/** Units between two turns of the store's own work, as the frames of a link bring them. */
const UNITS_OF_TURN = 64;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    mib: { type: "string" },
    repeat: { type: "string" },
    json: { type: "string" },
  },
});
const mib = Number(values.mib ?? (values.quick ? 8 : 256));
const repeats = Number(values.repeat ?? (values.quick ? 1 : 3));
const units = mib * MIB / UNIT_BYTES;

const contents = new Uint8Array(mib * MIB);
for (let at = 0; at < contents.byteLength; at += MIB) randomFillSync(contents, at, MIB);
const unitAt = (i: number) => contents.subarray(i * UNIT_BYTES, (i + 1) * UNIT_BYTES);

let due: (() => void)[] = [];
function open(directory: string): SiteStore {
  return new SiteStore({
    directory,
    bytesMax: mib * MIB,
    keepsMemory: true,
    offerUnitsMax: units,
    later: (work) => void due.push(work),
    log: (_level, message) => console.error(message),
  });
}

/** Milliseconds of CPU for each MB of contents. */
function costOf(action: () => void): number {
  const before = cpuSeconds();
  action();
  return (cpuSeconds() - before) * 1e9 / contents.byteLength;
}

function putAll(store: SiteStore): void {
  for (let i = 0; i < units; i++) {
    store.put(PEER, DISK, unitAt(i));
    if (i % UNITS_OF_TURN !== 0) continue;
    const works = due;
    due = [];
    for (const work of works) work();
  }
  store.flush();
}

function getAll(store: SiteStore): void {
  const name = nameBuffer();
  const into = new Uint8Array(UNIT_BYTES);
  let found = 0;
  for (let i = 0; i < units; i++) {
    nameContent(unitAt(i), name);
    if (store.get(PEER, name, into)) found++;
  }
  if (found !== units) throw new Error(`${found} of ${units} contents came back`);
}

type Run = Record<"name" | "put new" | "put known" | "get" | "open" | "offer", number>;

function measure(directory: string): Run {
  const store = open(directory);
  const name = nameBuffer();
  const naming = costOf(() => {
    for (let i = 0; i < units; i++) nameContent(unitAt(i), name);
  });
  const putNew = costOf(() => putAll(store));
  const putKnown = costOf(() => putAll(store));
  // The caller names what it looks for by other means; that is taken off.
  const get = costOf(() => getAll(store)) - naming;
  store.close();
  let again!: SiteStore;
  const opening = costOf(() => again = open(directory));
  const offer = costOf(() => again.offer("move", PEER));
  again.close();
  return { name: naming, "put new": putNew, "put known": putKnown, get, open: opening, offer };
}

const runs: Run[] = [];
const parent = await Deno.makeTempDir({ prefix: "cw-store-bench-" });
try {
  for (let run = 0; run < repeats; run++) runs.push(measure(`${parent}/${run}`));
} finally {
  await Deno.remove(parent, { recursive: true });
}
console.log(`${mib} MiB in units of ${UNIT_BYTES / 1024} KiB; CPU ms for each MB (and MB/s)`);
for (const step of Object.keys(runs[0]) as (keyof Run)[]) {
  const costs = runs.map((run) => run[step]).sort((a, b) => a - b);
  const median = costs[Math.floor(costs.length / 2)];
  const spread = `(${costs[0].toFixed(3)}-${costs.at(-1)!.toFixed(3)})`;
  console.log(
    step.padEnd(12) + median.toFixed(3).padEnd(8) + spread.padEnd(18) +
      `${(1000 / median).toFixed(0)} MB/s`,
  );
}
if (values.json !== undefined) {
  const document = { ...await setting(), mib, runs };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
