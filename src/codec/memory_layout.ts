import type { MemoryItem } from "../guest/memory_items.ts";
import { batchInvalid, type ByteSink, type ByteSource } from "./bytes.ts";

/** The item that begins a stream: page size and blocks, which give page numbers their meaning. */
export type Layout = Extract<MemoryItem, { kind: "layout" }>;

/** Page sizes of the machines that QEMU emulates, with room on both sides. */
export const PAGE_BYTES_MIN = 512;
export const PAGE_BYTES_MAX = 65_536;
/** A PC has about ten blocks; each device with memory of its own adds one. */
export const LAYOUT_BLOCKS_MAX = 1_024;
/** QEMU's ids are at most 255 bytes. */
export const BLOCK_NAME_BYTES_MAX = 255;
/** Page indexes are u32 here and in `MemoryItem`. */
export const BLOCK_PAGES_MAX = 2 ** 32;

const SECTION_MAX = 0xffff_ffff;
const BLOCK_BYTES_MIN = 2;

/** `varint pageBytes, section, blockCount, blocks: { text name, varint lengthBytes }` */
export function putLayout(sink: ByteSink, layout: Layout): void {
  sink.varint(layout.pageBytes);
  sink.varint(layout.section);
  sink.varint(layout.blocks.length);
  for (const block of layout.blocks) {
    sink.text(block.name);
    sink.varint(block.lengthBytes);
  }
}

/** @throws {GatewayError} `batch_invalid` */
export function getLayout(source: ByteSource): Layout {
  const pageBytes = source.varint();
  const section = source.varint();
  const blocks = Array.from({ length: blockCount(source) }, () => ({
    name: source.text(BLOCK_NAME_BYTES_MAX),
    lengthBytes: source.varint(),
  }));
  const layout: Layout = { kind: "layout", pageBytes, section, blocks };
  const fault = layoutFault(layout);
  if (fault !== null) throw batchInvalid(fault);
  return layout;
}

function blockCount(source: ByteSource): number {
  const count = source.count(BLOCK_BYTES_MIN, "blocks");
  if (count > LAYOUT_BLOCKS_MAX) throw batchInvalid(`${count} blocks of memory`);
  return count;
}

/** What makes a layout unusable; null when nothing does. */
export function layoutFault({ pageBytes, section, blocks }: Layout): string | null {
  if (pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX || !isPowerOfTwo(pageBytes)) {
    return `pages of ${pageBytes} bytes`;
  }
  if (section > SECTION_MAX) return `section ${section}`;
  if (blocks.length > LAYOUT_BLOCKS_MAX) return `${blocks.length} blocks of memory`;
  const names = new Set<string>();
  for (const { name, lengthBytes } of blocks) {
    if (names.has(name)) return `two blocks named ${name}`;
    names.add(name);
    if (new TextEncoder().encode(name).byteLength > BLOCK_NAME_BYTES_MAX) {
      return "a block's name is too long";
    }
    if (lengthBytes / pageBytes > BLOCK_PAGES_MAX) return `a block of ${lengthBytes} bytes`;
  }
  return null;
}

/** Number of pages of a block; 0 when the layout has no such block. */
export function pagesOfBlock(layout: Layout, block: number): number {
  const found = layout.blocks[block];
  return found === undefined ? 0 : Math.ceil(found.lengthBytes / layout.pageBytes);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
