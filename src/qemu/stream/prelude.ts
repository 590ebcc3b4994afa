import type { MemoryBlock } from "../../guest/memory_items.ts";
import type { Cursor } from "./cursor.ts";
import {
  COMMAND,
  ELEMENT,
  FILE_MAGIC,
  FILE_VERSION,
  MAX_BLOCK_PAGES,
  MAX_BLOCKS,
  MAX_CAPABILITIES,
  MAX_MEMORY_BYTES,
  MAX_PAGE_BYTES,
  MAX_TEXT_BYTES,
  MIN_PAGE_BYTES,
  RAM,
  RAM_VERSION,
} from "./format.ts";

/** What earlier elements said about the shape of the block list and the records. */
export interface StreamTraits {
  readonly pageBytes: number;
  /** `x-ignore-shared`: each listed block carries its guest physical address. */
  readonly ignoreShared: boolean;
  /** POSTCOPY_ADVISE named several page sizes: a listed block may carry its own. */
  readonly mixedPageSizes: boolean;
}

/** File header: 8 bytes; wrong ones are told from the first differing byte on. */
export function parseFileHeader(cursor: Cursor): void {
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (cursor.u8() !== (FILE_MAGIC >>> shift & 0xff)) {
      cursor.unknown("the connection does not begin with a QEMU file header");
    }
  }
  const version = cursor.be32();
  if (version !== FILE_VERSION) cursor.unknown(`file version ${version}`);
}

/** Configuration without its subsections: `07, be32 n, n bytes machine name`. */
export function parseConfiguration(cursor: Cursor): string {
  cursor.u8();
  const nameBytes = cursor.be32();
  if (nameBytes === 0 || nameBytes > MAX_TEXT_BYTES) {
    cursor.unknown(`a machine name of ${nameBytes} bytes`);
  }
  return cursor.text(nameBytes);
}

/** One subsection of the configuration: `05, name, be32 version`, then a body fixed by the name. */
export function parseConfigurationSubsection(
  cursor: Cursor,
  traits: StreamTraits,
): StreamTraits {
  cursor.u8();
  const name = cursor.name();
  const version = cursor.be32();
  if (version !== 1) cursor.unknown(`subsection ${name} has version ${version}`);
  switch (name) {
    case "configuration/target-page-bits":
      return { ...traits, pageBytes: checkedPageBytes(cursor, 2 ** Math.min(cursor.be32(), 32)) };
    case "configuration/uuid":
      cursor.skip(16);
      return traits;
    case "configuration/capabilities": {
      let ignoreShared = traits.ignoreShared;
      const count = cursor.be32();
      if (count > MAX_CAPABILITIES) cursor.unknown(`${count} capabilities`);
      for (let left = count; left > 0; left--) {
        const capability = cursor.name();
        if (capability !== "x-ignore-shared") cursor.unknown(`capability ${capability}`);
        ignoreShared = true;
      }
      return { ...traits, ignoreShared };
    }
    default:
      return cursor.unknown(`configuration subsection ${name}`);
  }
}

/**
 * One command: `08, be16 command, be16 length, length bytes`.
 *
 * Those that begin post-copy are unknown on purpose: from there on no page may be dropped,
 * repeated or merged, which a page-aware relay of pre-copy does.
 */
export function parseCommand(cursor: Cursor, traits: StreamTraits): StreamTraits {
  cursor.u8();
  const command = cursor.be16();
  const length = cursor.be16();
  const expect = (...lengths: number[]) => {
    if (!lengths.includes(length)) cursor.unknown(`command ${command} with ${length} bytes`);
  };
  switch (command) {
    case COMMAND.openReturnPath:
    case COMMAND.switchoverStart:
      expect(0);
      return traits;
    case COMMAND.ping:
      expect(4);
      cursor.skip(4);
      return traits;
    case COMMAND.postcopyAdvise: {
      expect(0, 16);
      if (length === 0) return traits;
      const allPageSizes = cursor.be64();
      const pageBytes = checkedPageBytes(cursor, cursor.be64());
      return { ...traits, pageBytes, mixedPageSizes: !isPowerOfTwo(allPageSizes) };
    }
    case COMMAND.postcopyListen:
    case COMMAND.postcopyRun:
    case COMMAND.postcopyDiscard:
    case COMMAND.packaged:
    case COMMAND.postcopyResume:
    case COMMAND.receivedBitmap:
      return cursor.unknown("post-copy begins");
    default:
      return cursor.unknown(`command ${command}`);
  }
}

/** Header of a section that says its name: START and FULL. */
export function parseNamedSectionHeader(
  cursor: Cursor,
): { section: number; name: string; version: number } {
  cursor.u8();
  const section = cursor.be32();
  const name = cursor.name();
  cursor.skip(4);
  return { section, name, version: cursor.be32() };
}

/** How far a block list has been read: a long one arrives in many chunks. */
export interface BlockListProgress {
  /** Of the section, up to and including the last whole entry; 0 before the first. */
  bytesRead: number;
  leftBytes: number;
  readonly blocks: MemoryBlock[];
  readonly names: Set<string>;
}

/** A list of which nothing has been read. */
export function newBlockList(): BlockListProgress {
  return { bytesRead: 0, leftBytes: 0, blocks: [], names: new Set() };
}

/**
 * The whole START section of `ram` behind its header: MEM_SIZE word and list, EOS, footer.
 *
 * The list repeats `name, be64 length` until the lengths add up to the total.
 *
 * @param list entries read by earlier attempts, which are not read again: thousands of them, each
 *   attempt from the start, take seconds
 */
export function parseRamStart(
  cursor: Cursor,
  header: { section: number; version: number },
  traits: StreamTraits,
  list: BlockListProgress,
): MemoryBlock[] {
  const { pageBytes } = traits;
  if (header.version !== RAM_VERSION) cursor.unknown(`ram section version ${header.version}`);
  const word = cursor.be64();
  const totalBytes = word - word % pageBytes;
  if (word % pageBytes !== RAM.memSize) cursor.unknown("the ram section has no block list");
  if (totalBytes === 0 || totalBytes > MAX_MEMORY_BYTES) {
    cursor.unknown(`${totalBytes} bytes of memory`);
  }
  if (list.bytesRead === 0) list.leftBytes = totalBytes;
  else cursor.skip(list.bytesRead - cursor.bytesUsed);
  while (list.leftBytes > 0) {
    const name = cursor.name(8);
    const lengthBytes = cursor.be64();
    if (list.names.has(name)) cursor.unknown(`block ${name} is listed twice`);
    if (lengthBytes > list.leftBytes || lengthBytes % pageBytes !== 0) {
      cursor.unknown(`block ${name} has ${lengthBytes} bytes`);
    }
    if (lengthBytes / pageBytes > MAX_BLOCK_PAGES || list.names.size === MAX_BLOCKS) {
      cursor.unknown("the block list exceeds this reader's limits");
    }
    // A name's length is never 0 and a record's word is below 4096 here, so neither looks like
    // this field: its first byte is 0 and its value a larger power of two.
    if (traits.mixedPageSizes && cursor.peekU8() === 0) {
      const hostPageBytes = cursor.peekBe64();
      if (hostPageBytes > 4096 && isPowerOfTwo(hostPageBytes)) cursor.skip(8);
    }
    if (traits.ignoreShared) cursor.skip(8);
    list.names.add(name);
    list.blocks.push({ name, lengthBytes });
    list.leftBytes -= lengthBytes;
    list.bytesRead = cursor.bytesUsed;
  }
  parseSectionEnd(cursor, header.section);
  return list.blocks;
}

/** EOS word and footer, which together close every memory section. */
export function parseSectionEnd(cursor: Cursor, section: number): void {
  if (cursor.be64() !== RAM.endOfSection) cursor.unknown("a memory section does not end here");
  parseFooter(cursor, section);
}

/** Footer: `7e, be32 section id`; machine types up to 2.3 have none. */
export function parseFooter(cursor: Cursor, section: number): void {
  if (cursor.u8() !== ELEMENT.footer) cursor.unknown("a section has no footer");
  const closed = cursor.be32();
  if (closed !== section) cursor.unknown(`footer of section ${closed} in section ${section}`);
}

function checkedPageBytes(cursor: Cursor, pageBytes: number): number {
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || !isPowerOfTwo(pageBytes)) {
    cursor.unknown(`pages of ${pageBytes} bytes`);
  }
  return pageBytes;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (BigInt(value) & BigInt(value - 1)) === 0n;
}
