import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { cpuSeconds } from "../limits/cpu.ts";
import { PAGE_BYTES } from "./cases.ts";

const BATCH_BYTES = 256 * 1024;

/** What the runtime does with the bytes of a case, alone; nobody can send them for less. */
export type Limit = "copy" | "compare" | "zero" | "words" | "sha256" | "zstd 1" | "zstd 3";

type Pass = (memory: Buffer, other: Buffer) => void;

const PASSES: Record<Limit, Pass> = {
  /** From the socket's buffer to where the pages are kept. */
  "copy": (memory) => {
    const target = new Uint8Array(BATCH_BYTES);
    const plain = new Uint8Array(memory.buffer, memory.byteOffset, memory.length);
    forEachPage(memory, (at) => {
      target.set(plain.subarray(at, at + PAGE_BYTES), at % BATCH_BYTES);
    });
  },
  "compare": (memory, other) => {
    let equal = 0;
    forEachPage(memory, (at) => {
      const page = other.subarray(at, at + PAGE_BYTES);
      if (memory.compare(page, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0) equal++;
    });
    if (equal < memory.length / PAGE_BYTES) throw new Error("the pages differ");
  },
  "zero": (memory) => {
    const zeros = Buffer.alloc(PAGE_BYTES);
    forEachPage(memory, (at) => void zeros.equals(memory.subarray(at, at + PAGE_BYTES)));
  },
  /** The words of both copies of a page, as plain JS has to look at them for a delta. */
  "words": (memory, other) => {
    const [left, right] = [memory, other].map((bytes) =>
      new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    );
    let differing = 0;
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) differing++;
    if (differing > 0) throw new Error("the words differ");
  },
  "sha256": (memory) => {
    forEachPage(memory, (at) => void hash("sha256", memory.subarray(at, at + PAGE_BYTES), "hex"));
  },
  "zstd 1": (memory) => packAll(memory, 1),
  "zstd 3": (memory) => packAll(memory, 3),
};

/** Bytes for each second of CPU. */
export function limitRate(limit: Limit, memory: Buffer, other: Buffer): number {
  const before = cpuSeconds();
  PASSES[limit](memory, other);
  return memory.length / (cpuSeconds() - before);
}

/** One step after the other. */
export function together(rates: readonly number[]): number {
  return 1 / rates.reduce((sum, rate) => sum + 1 / rate, 0);
}

function forEachPage(memory: Buffer, visit: (at: number) => void): void {
  for (let at = 0; at < memory.length; at += PAGE_BYTES) visit(at);
}

function packAll(memory: Buffer, level: number): void {
  for (let at = 0; at < memory.length; at += BATCH_BYTES) {
    zstdCompressSync(memory.subarray(at, at + BATCH_BYTES), {
      chunkSize: BATCH_BYTES + 64,
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    });
  }
}
