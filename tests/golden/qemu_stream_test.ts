import assert from "node:assert/strict";
import { zstdDecompressSync } from "node:zlib";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import { classifyConnection } from "../../src/qemu/stream/classify.ts";
import { createStreamReader } from "../../src/qemu/stream/reader.ts";
import { loadStream } from "../../src/qemu/stream/testing/stream_loader.ts";
import { createStreamWriter } from "../../src/qemu/stream/writer.ts";
import { sha256, summarizeReturnPath, summarizeStream } from "./qemu_stream_summary.ts";

const MAX_STREAM_BYTES = 64 * 1024 * 1024;
/** One read, what QEMU's own buffer flushes, and a size that cuts nearly everything. */
const CHUNK_BYTES = [MAX_STREAM_BYTES, 32 * 1024, 997];

for (const version of ["7.2", "10.0"]) {
  for (const name of ["precopy", "xbzrle", "postcopy"]) {
    const path = (end: string) => new URL(`qemu-stream-v${version}/${name}${end}`, import.meta.url);
    const golden = JSON.parse(Deno.readTextFileSync(path(".json")));

    Deno.test(`QEMU ${version}, ${golden.what}: decoded as recorded, at any chunking`, () => {
      const stream = unpacked(path(".zst"));
      assert.equal(sha256(stream), golden.streamSha256);
      assert.equal(classifyConnection(stream), "main");
      for (const chunkBytes of CHUNK_BYTES) {
        assert.deepEqual(summarizeStream(stream, chunkBytes), golden.decoded);
      }
      const returnPath = unpacked(path(".return-path.zst"));
      assert.deepEqual(summarizeReturnPath(returnPath), golden.returnPath);
    });

    Deno.test(`QEMU ${version}, ${golden.what}: written again it loads the same`, () => {
      const stream = unpacked(path(".zst"));
      const before = loadStream(stream);
      const blockNames = golden.decoded.layout.map(({ name }: { name: string }) => name);
      assert.deepEqual([...before.memory.keys()], blockNames);
      if (golden.decoded.phase === "device") {
        for (const [block, bytes] of before.memory) {
          assert.equal(sha256(bytes), golden.decoded.memory[block]);
        }
      }
      assert.deepEqual(loadStream(rewritten(stream)), before);
    });
  }
}

function rewritten(stream: Uint8Array): Uint8Array {
  const reader = createStreamReader();
  const writer = createStreamWriter();
  const pieces: Uint8Array[] = [];
  const write = (items: readonly MemoryItem[]) => {
    for (const item of items) pieces.push(...writer.write(item));
  };
  for (let at = 0; at < stream.length; at += 50_000) {
    write(reader.push(stream.slice(at, at + 50_000)));
  }
  write(reader.end());
  pieces.push(...writer.flush());
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function unpacked(path: URL): Uint8Array {
  return new Uint8Array(
    zstdDecompressSync(Deno.readFileSync(path), { maxOutputLength: MAX_STREAM_BYTES }),
  );
}
