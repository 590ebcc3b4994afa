import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { open } from "../../src/codec/envelope.ts";
import { encodeMemoryBatch } from "../../src/codec/memory_batch.ts";
import type { Layout } from "../../src/codec/memory_layout.ts";
import { PAGE_BYTES } from "../../src/guest/reference/units.ts";
import { quicLoopback } from "./quic.ts";
import { throughSession } from "./session.ts";
import { unixSocket } from "./unix_socket.ts";

/** What one frame carries, before compression. */
const BATCH_BYTES = 256 * 1024;
/** As our batches have: without it, zlib fetches a second chunk for nothing. */
const ROOM_BYTES = 64;

type Bytes = Uint8Array<ArrayBuffer>;

/** One step of a move, alone. */
export interface Step {
  readonly name: string;
  /**
   * Makes what the step needs from the pages of a machine; what it gives does the step once, and
   * may say something about it.
   */
  prepare(pages: Bytes): () => Promise<void> | string | void;
}

/** In the order in which they come in a move. */
export const STEPS: readonly Step[] = [
  { name: "memcpy, 256 KiB", prepare: copying },
  { name: "zstd level 1, 256 KiB", prepare: (pages) => compressing(pages, 1) },
  { name: "zstd level 3, 256 KiB", prepare: (pages) => compressing(pages, 3) },
  { name: "zstd decompression, 256 KiB", prepare: decompressing },
  { name: "our batches, encoded", prepare: encoding },
  { name: "our batches, opened", prepare: decoding },
  { name: "our session, both ends", prepare: (pages) => () => throughSession(batches(pages)) },
  { name: "unix socket, both ends, 256 KiB", prepare: (pages) => () => unixSocket(batches(pages)) },
  { name: "QUIC over the loopback, both ends", prepare: (pages) => () => quicLoopback(pages) },
];

function* batches(pages: Bytes): Generator<Bytes> {
  for (let at = 0; at < pages.length; at += BATCH_BYTES) yield pages.subarray(at, at + BATCH_BYTES);
}

function copying(pages: Bytes) {
  const target = new Uint8Array(BATCH_BYTES);
  return () => {
    for (const batch of batches(pages)) target.set(batch);
  };
}

function zstd(batch: Bytes, level: number): Uint8Array {
  return zstdCompressSync(batch, {
    chunkSize: BATCH_BYTES + ROOM_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

function compressing(pages: Bytes, level: number) {
  return () => {
    let bytes = 0;
    for (const batch of batches(pages)) bytes += zstd(batch, level).length;
    return `${(pages.length / bytes).toFixed(2)} times smaller`;
  };
}

function decompressing(pages: Bytes) {
  const packed = [...batches(pages)].map((batch) => zstd(batch, 3));
  return () => {
    for (const batch of packed) zstdDecompressSync(batch, { chunkSize: BATCH_BYTES + ROOM_BYTES });
  };
}

function* encode(pages: Bytes): Generator<Uint8Array> {
  const blocks = [{ name: "ram", lengthBytes: pages.length }];
  const layout: Layout = { kind: "layout", pageBytes: PAGE_BYTES, section: 0, blocks };
  let first = 0;
  for (const contents of batches(pages)) {
    const pageIndexes = new Uint32Array(contents.length / PAGE_BYTES);
    for (let i = 0; i < pageIndexes.length; i++) pageIndexes[i] = first + i;
    first += pageIndexes.length;
    yield encodeMemoryBatch([{ kind: "pages", block: 0, pageIndexes, contents }], { layout });
  }
}

function encoding(pages: Bytes) {
  return () => {
    let bytes = 0;
    for (const payload of encode(pages)) bytes += payload.length;
    return `${(pages.length / bytes).toFixed(2)} times smaller`;
  };
}

function decoding(pages: Bytes) {
  const payloads = [...encode(pages)];
  return () => {
    for (const payload of payloads) open(payload);
  };
}
