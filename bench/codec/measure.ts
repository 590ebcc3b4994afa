import { Buffer } from "node:buffer";
import { createMemoryDecoder } from "../../src/codec/memory_decoder.ts";
import { PageImage } from "../../src/image/page_image.ts";
import { openSpillFile } from "../../src/image/spill_file.ts";
import { createStreamReader } from "../../src/qemu/stream/reader.ts";
import { cpuSeconds } from "../limits/cpu.ts";
import { type Case, type Image, socketChunks } from "./cases.ts";
import { type Limit, limitRate, together } from "./limits.ts";
import { SourcePipeline } from "./pipeline.ts";

/** One pass, in bytes of pages for each second of CPU; beside it what the runtime needs alone. */
export interface Run {
  readonly encodeBytesPerCpuSecond: number;
  /** Null where the batches are too short for the timer. */
  readonly decodeBytesPerCpuSecond: number | null;
  readonly payloadBytes: number;
  readonly limits: Partial<Record<Limit, number>>;
  readonly limitBytesPerCpuSecond: number;
}

/** What a pass over a machine's memory is measured with. */
export interface Pass {
  readonly chunks: readonly Uint8Array[];
  /** Contents of its pages, for the limits of the runtime. */
  readonly memory: Buffer;
  /** The same contents elsewhere. */
  readonly copy: Buffer;
}

/** Images of one run, closed together. */
export class Images {
  readonly #opened: PageImage[] = [];

  constructor(private readonly directory: string, private readonly boundBytes: number) {}

  opener(image: Image): (pageBytes: number) => PageImage {
    return (pageBytes) => {
      const spill = image === "digests"
        ? null
        : openSpillFile(`${this.directory}/${crypto.randomUUID()}`, pageBytes);
      const opened = new PageImage(pageBytes, image === "held" ? this.boundBytes : 0, spill);
      this.#opened.push(opened);
      return opened;
    };
  }

  close(): void {
    for (const image of this.#opened) image.close();
  }
}

/** A case's pass over memory that it fills. */
export async function measureCase(each: Case, memory: Buffer, directory: string): Promise<Run> {
  const images = new Images(directory, memory.length);
  try {
    const pipeline = new SourcePipeline(images.opener(each.image), each.packing);
    // A destination without contents takes no references; what it costs is measured elsewhere.
    const decoder = createMemoryDecoder(images.opener(each.image));
    if (each.before !== null) {
      each.before(memory);
      for (const payload of await pipeline.send(socketChunks(memory))) decoder.decode(payload);
    }
    each.measured(memory);
    const pass = { chunks: socketChunks(memory), memory, copy: Buffer.from(memory) };
    return await measurePass(pipeline, pass, each.limits, (payload) => decoder.decode(payload));
  } finally {
    images.close();
  }
}

/** Sends a pass, takes it in, and does the same bytes' limits. */
export async function measurePass(
  pipeline: SourcePipeline,
  { chunks, memory, copy }: Pass,
  steps: readonly Limit[],
  decode: (payload: Uint8Array) => void,
): Promise<Run> {
  const begun = cpuSeconds();
  const payloads = await pipeline.send(chunks);
  const encoded = cpuSeconds();
  for (const payload of payloads) decode(payload);
  const decoded = cpuSeconds();
  const payloadBytes = payloads.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const limits: Partial<Record<Limit, number>> = {};
  for (const step of steps) limits[step] ??= limitRate(step, memory, copy);
  return {
    encodeBytesPerCpuSecond: memory.length / (encoded - begun),
    decodeBytesPerCpuSecond: payloadBytes > memory.length / 1000
      ? memory.length / (decoded - encoded)
      : null,
    payloadBytes,
    limits,
    limitBytesPerCpuSecond: together(steps.map((step) => limits[step]!)),
  };
}

/** The pages of a stream, back to back, without those that are zero. */
export function contentsOf(chunks: readonly Uint8Array[]): Buffer {
  const reader = createStreamReader();
  const pieces: Uint8Array[] = [];
  for (const chunk of chunks) {
    for (const item of reader.push(chunk)) if (item.kind === "pages") pieces.push(item.contents);
  }
  return Buffer.concat(pieces);
}
