import type { MemoryItem } from "../../../guest/memory_items.ts";
import { createStreamReader, type StreamReader } from "../reader.ts";
import { createStreamWriter } from "../writer.ts";
import { cut } from "./arbitrary_stream.ts";
import { StreamBuilder } from "./stream_builder.ts";

/** A stream up to its memory rounds: block "a" of eight pages, "b" of four. */
export function twoBlocks(): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .ramStart([{ name: "a", pages: 8 }, { name: "b", pages: 4 }]);
}

/** A whole stream through a reader. */
export function read(
  bytes: Uint8Array,
  chunking: readonly number[],
): { items: MemoryItem[]; reader: StreamReader } {
  const reader = createStreamReader();
  const items: MemoryItem[] = [];
  for (const chunk of cut(bytes, chunking)) items.push(...reader.push(chunk));
  items.push(...reader.end());
  return { items, reader };
}

/** A whole stream through reader and writer. */
export function rewrite(bytes: Uint8Array, chunking: readonly number[]): Uint8Array {
  const writer = createStreamWriter();
  const pieces: Uint8Array[] = [];
  for (const item of read(bytes, chunking).items) pieces.push(...writer.write(item));
  return concat([...pieces, ...writer.flush()]);
}

/** The bytes of all opaque items. */
export function opaqueBytes(items: readonly MemoryItem[]): Uint8Array {
  return concat(items.map((item) => item.kind === "opaque" ? item.bytes : new Uint8Array()));
}

/** All parts in one array. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
