/**
 * What sending less costs: from the bytes of QEMU's socket to encoded batches, and from batches to
 * pages, for each kind of page; one core, no link. Beside it what the runtime alone needs for the
 * same bytes, and the same with batches packed on several cores.
 *
 *     bench/codec.ts [--quick] [--mib 128] [--repeat 5] [--case TEXT] [--no-guest] [--json FILE]
 */
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { createMemoryDecoder } from "../src/codec/memory_decoder.ts";
import { missingRequirements, SETUP_COMMAND } from "../src/testing/requirements.ts";
import { workersForThisMachine } from "../src/sealing/worker_sealer.ts";
import { CASES, PAGE_BYTES, socketChunks } from "./codec/cases.ts";
import { guestStream } from "./codec/guest_stream.ts";
import type { Limit } from "./codec/limits.ts";
import { contentsOf, Images, measureCase, measurePass, type Run } from "./codec/measure.ts";
import { type Packing, SourcePipeline } from "./codec/pipeline.ts";
import { type CoresRun, measureCores } from "./codec/several_cores.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    mib: { type: "string" },
    repeat: { type: "string" },
    case: { type: "string", default: "" },
    "no-guest": { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const mib = Number(values.mib ?? (values.quick ? 4 : 128));
const repeats = Number(values.repeat ?? (values.quick ? 1 : 5));
const directory = await Deno.makeTempDir({ prefix: "cw-codec-" });
const isChosen = (name: string) => name.includes(values.case);

interface GuestCase {
  readonly name: string;
  readonly packing: Packing;
  readonly spills: boolean;
  readonly limits: readonly Limit[];
}

const GUEST_CASES: readonly GuestCase[] = [
  {
    name: "Linux, first round",
    packing: "fast",
    spills: false,
    limits: ["copy", "sha256", "zstd 1"],
  },
  {
    name: "Linux, first round, strong",
    packing: "strong",
    spills: false,
    limits: ["copy", "sha256", "zstd 3"],
  },
  {
    name: "Linux, first round, spilled",
    packing: "fast",
    spills: true,
    limits: ["copy", "sha256", "zstd 1"],
  },
];

function sorted(numbers: readonly (number | null)[]): number[] {
  return numbers.filter((value) => value !== null).sort((a, b) => a - b);
}

function median(numbers: readonly (number | null)[]): number | null {
  const known = sorted(numbers);
  return known.at(Math.floor(known.length / 2)) ?? null;
}

const shown = (bytesPerSecond: number | null | undefined) =>
  bytesPerSecond == null ? "-" : (bytesPerSecond / 1e6).toFixed(0);

function spread(numbers: readonly number[]): string {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return `${shown(median(numbers))} (${shown(least)}-${shown(most)})`;
}

function show(name: string, runs: readonly Run[], contentBytes: number): void {
  const limit = median(runs.map((run) => run.limitBytesPerCpuSecond))!;
  // Each against the limit of the same moment: a neighbour slows down both.
  const ratio = median(runs.map((run) => run.encodeBytesPerCpuSecond / run.limitBytesPerCpuSecond));
  const steps = Object.keys(runs[0].limits) as Limit[];
  const each = steps.map((step) =>
    `${step} ${shown(median(runs.map((run) => run.limits[step]!)))}`
  );
  console.log(
    name.padEnd(28) + spread(runs.map((run) => run.encodeBytesPerCpuSecond)).padEnd(19) +
      shown(limit).padEnd(7) + ratio!.toFixed(2).padEnd(7) +
      shown(median(runs.map((run) => run.decodeBytesPerCpuSecond))).padEnd(8) +
      (runs[0].payloadBytes / (contentBytes / PAGE_BYTES)).toFixed(0).padEnd(7) + each.join(", "),
  );
}

async function measureGuest(
  { packing, spills, limits }: GuestCase,
  chunks: readonly Uint8Array[],
  contents: Buffer,
): Promise<Run> {
  const images = new Images(directory, contents.length);
  try {
    const openImage = images.opener(spills ? "spilled" : "held");
    const decoder = createMemoryDecoder(openImage);
    const pass = { chunks, memory: contents, copy: contents };
    const pipeline = new SourcePipeline(openImage, packing);
    return await measurePass(pipeline, pass, limits, (payload) => decoder.decode(payload));
  } finally {
    images.close();
  }
}

try {
  const results: { case: string; runs: Run[] }[] = [];
  const several: { case: string; runs: CoresRun[] }[] = [];
  const memory = Buffer.alloc(mib * MIB);
  console.log(`${mib} MiB of ${PAGE_BYTES / 1024} KiB pages; MB of pages for each second of CPU`);
  console.log("limit: copy, comparison, hash and zstd of the runtime, one after the other\n");
  console.log(
    "pages                       encode (spread)    limit  ratio  decode  B/page limit's steps",
  );
  for (const each of CASES.filter(({ name }) => isChosen(name))) {
    const runs: Run[] = [];
    for (let i = 0; i < repeats; i++) runs.push(await measureCase(each, memory, directory));
    results.push({ case: each.name, runs });
    show(each.name, runs, memory.length);
  }

  const streams: { name: string; chunks: readonly Uint8Array[]; contents: Buffer }[] = [];
  const text = CASES.find(({ name }) => name.startsWith("text") && isChosen(name));
  if (text !== undefined) {
    text.measured(memory);
    streams.push({ name: "text", chunks: socketChunks(memory), contents: memory });
  }
  const lacking = await missingRequirements("qemu", "guestImage");
  if (values["no-guest"] || !GUEST_CASES.some(({ name }) => isChosen(name))) {
    console.log("(no Linux guest, as asked)");
  } else if (lacking.length > 0) {
    console.log(`SKIPPED the Linux guest: ${lacking.join("; ")}; \`${SETUP_COMMAND}\` provides it`);
  } else {
    const chunks = await guestStream();
    const contents = contentsOf(chunks);
    streams.push({ name: "Linux", chunks, contents });
    for (const each of GUEST_CASES.filter(({ name }) => isChosen(name))) {
      const runs: Run[] = [];
      for (let i = 0; i < repeats; i++) runs.push(await measureGuest(each, chunks, contents));
      results.push({ case: each.name, runs });
      show(each.name, runs, contents.length);
    }
    console.log(`Linux: ${(contents.length / MIB).toFixed(0)} MiB of pages that are not zero`);
  }

  const most = workersForThisMachine();
  console.log(`\nfirst copies packed by workers; ${navigator.hardwareConcurrency} cores`);
  console.log("pages           workers  MB/s (spread)      MB/CPU s  cores in use");
  for (const { name, chunks, contents } of streams) {
    for (const packing of ["fast", "strong"] as const) {
      const runs: CoresRun[] = [];
      // By turns: what the neighbours do meanwhile must not fall on one of them alone.
      for (let i = 0; i < repeats; i++) {
        for (const workers of new Set([0, 1, most])) {
          const contentBytes = contents.length;
          runs.push(await measureCores({ chunks, contentBytes, packing, workers, directory }));
        }
      }
      several.push({ case: `${name}, ${packing}`, runs });
      for (const workers of new Set([0, 1, most])) {
        const own = runs.filter((run) => run.workers === workers);
        console.log(
          `${name}, ${packing}`.padEnd(16) + String(workers).padEnd(9) +
            spread(own.map((run) => run.bytesPerSecond)).padEnd(19) +
            shown(median(own.map((run) => run.bytesPerCpuSecond))).padEnd(10) +
            median(own.map((run) => run.cores))!.toFixed(2),
        );
      }
    }
  }
  if (values.json !== undefined) {
    const document = { ...await setting(), mib, results, several };
    await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}
