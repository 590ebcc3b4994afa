/**
 * What sending less costs: from the bytes of QEMU's socket to encoded batches, and from batches to
 * pages, for each kind of page; one core, no link.
 *
 *     bench/codec.ts [--quick] [--mib 128] [--repeat 3] [--case TEXT] [--json FILE]
 */
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { createMemoryDecoder } from "../src/codec/memory_decoder.ts";
import { createMemoryEncoder } from "../src/codec/memory_encoder.ts";
import { PageImage } from "../src/image/page_image.ts";
import { openSpillFile } from "../src/image/spill_file.ts";
import { createStreamReader } from "../src/qemu/stream/reader.ts";
import { type Case, CASES, PAGE_BYTES, socketChunks } from "./codec/cases.ts";
import { cpuSeconds } from "./limits/cpu.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    mib: { type: "string" },
    repeat: { type: "string" },
    case: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const mib = Number(values.mib ?? (values.quick ? 16 : 128));
const repeats = Number(values.repeat ?? (values.quick ? 1 : 3));
const directory = await Deno.makeTempDir({ prefix: "cw-codec-" });

interface Run {
  readonly encodeBytesPerCpuSecond: number;
  readonly decodeBytesPerCpuSecond: number | null;
  readonly payloadBytes: number;
}

/** Both ends of one pass; a spilled image holds the least that it may. */
function measure({ image, before, measured }: Case, memory: Buffer): Run {
  const images: PageImage[] = [];
  const openImage = (pageBytes: number) => {
    const spill = openSpillFile(`${directory}/${crypto.randomUUID()}`, pageBytes);
    const opened = new PageImage(pageBytes, image === "held" ? memory.length : 0, spill);
    images.push(opened);
    return opened;
  };
  const encoder = createMemoryEncoder({ memory: { openImage, reachPages: () => Infinity } });
  const decoder = createMemoryDecoder(openImage);
  const encode = (chunks: readonly Uint8Array[]): Uint8Array[] => {
    const reader = createStreamReader();
    const payloads: Uint8Array[] = [];
    for (const chunk of chunks) payloads.push(...encoder.add(reader.push(chunk)));
    payloads.push(...encoder.flush());
    return payloads;
  };
  try {
    if (before !== null) {
      before(memory);
      for (const payload of encode(socketChunks(memory))) decoder.decode(payload);
    }
    measured(memory);
    const chunks = socketChunks(memory);
    const encodeSeconds = cpuSeconds();
    const payloads = encode(chunks);
    const decodeSeconds = cpuSeconds();
    for (const payload of payloads) decoder.decode(payload);
    const doneSeconds = cpuSeconds();
    const payloadBytes = payloads.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return {
      encodeBytesPerCpuSecond: memory.length / (decodeSeconds - encodeSeconds),
      // A pass of a few hundred bytes is too short for the timer.
      decodeBytesPerCpuSecond: payloadBytes > memory.length / 1000
        ? memory.length / (doneSeconds - decodeSeconds)
        : null,
      payloadBytes,
    };
  } finally {
    for (const opened of images) opened.close();
  }
}

function median(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((value) => value !== null).sort((a, b) => a - b);
  return known.at(Math.floor(known.length / 2)) ?? null;
}

const shown = (bytesPerSecond: number | null) =>
  bytesPerSecond === null ? "-" : (bytesPerSecond / 1e6).toFixed(0);

try {
  const memory = Buffer.alloc(mib * MIB);
  const results: { case: string; runs: Run[] }[] = [];
  console.log(`${mib} MiB of ${PAGE_BYTES / 1024} KiB pages; MB of pages for each second of CPU`);
  console.log(
    "pages                         encode (least-most)      decode   wire bytes for each page",
  );
  for (const each of CASES) {
    if (!each.name.includes(values.case)) continue;
    const runs = Array.from({ length: repeats }, () => measure(each, memory));
    results.push({ case: each.name, runs });
    const rates = runs.map((run) => run.encodeBytesPerCpuSecond).sort((a, b) => a - b);
    const spread = `(${shown(rates[0])}-${shown(rates.at(-1)!)})`;
    const decode = shown(median(runs.map((run) => run.decodeBytesPerCpuSecond)));
    const wire = runs[0].payloadBytes / (memory.length / PAGE_BYTES);
    console.log(
      each.name.padEnd(30) + shown(median(rates)).padEnd(8) + spread.padEnd(17) +
        decode.padEnd(9) + wire.toFixed(1),
    );
  }
  if (values.json !== undefined) {
    const document = { ...await setting(), mib, results };
    await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}
