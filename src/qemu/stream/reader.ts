import type { MemoryBlock, MemoryItem } from "../../guest/memory_items.ts";
import { attempt, type Cursor } from "./cursor.ts";
import { DIRTY_BITMAP_VERSION, parseBitmapChunk } from "./dirty_bitmap.ts";
import { DEFAULT_PAGE_BYTES, ELEMENT, MAX_HELD_BYTES } from "./format.ts";
import { emptySection, reopenedSection } from "./framing.ts";
import { HeldBytes } from "./held_bytes.ts";
import { PageContents } from "./page_contents.ts";
import { PageGroup } from "./page_group.ts";
import {
  newBlockList,
  parseCommand,
  parseConfiguration,
  parseConfigurationSubsection,
  parseFileHeader,
  parseFooter,
  parseNamedSectionHeader,
  parseRamStart,
  parseSectionEnd,
  type StreamTraits,
} from "./prelude.ts";
import { RecordReader } from "./records.ts";

/**
 * Where a stream is: before its block list, in its memory rounds, past the last memory section, in
 * the device state (verbatim by design), or given up on (verbatim, with a reason).
 */
export type StreamPhase = "prelude" | "memory" | "final" | "device" | "opaque";

/** What a reader has read so far. */
export interface StreamStats {
  readonly pageRecords: number;
  readonly zeroRecords: number;
  /** Bytes that went into `opaque` items. */
  readonly opaqueBytes: number;
  /** Bytes of an incomplete record that wait for the next chunk; at most `MAX_HELD_BYTES`. */
  readonly heldBytes: number;
  /** Why the reader gave up interpreting; null while it did not. */
  readonly reason: string | null;
}

/** One stream being read; see `createStreamReader`. */
export interface StreamReader {
  /** Takes the next bytes, cut anywhere; `chunk` may be reused once this returns. */
  push(chunk: Uint8Array): MemoryItem[];
  /**
   * The stream is over: gives what was held of an incomplete record. After a cancelled migration
   * whose pages continue in the same destination stream, drop these items.
   */
  end(): MemoryItem[];
  readonly phase: StreamPhase;
  readonly stats: StreamStats;
}

/** What the next byte belongs to. */
type Expected =
  | "fileHeader"
  | "configuration"
  | "configurationSubsections"
  | "element"
  | "partRecords"
  | "endRecords"
  | "bitmapChunk"
  | "bitmapFooter"
  | "verbatim";

/**
 * Turns QEMU's main migration channel into memory items.
 *
 * - Page and zero records of PART and END sections of `ram` become `pages` and `zeros`. Contents
 *   are copied once, from the chunk; a record that straddles two chunks is copied once more.
 * - The START section of `ram` is relayed verbatim and followed by the `layout`, so everything
 *   before the layout is this stream's prelude.
 * - The framing of PART sections is dropped; the writer makes its own. An END section becomes its
 *   pages, then an opaque END without records.
 * - Everything else that has a known length is opaque, verbatim and in its place.
 * - At the first device section or EOF the rest is opaque (expected, no `reason`): device state
 *   carries no lengths.
 * - At the first byte of a record that is unknown the rest is opaque with a `reason`. Inside a
 *   memory section the item begins with a section header and a record that names the block anew
 *   (see `reopenedSection`), because the writer has closed its own section by then.
 *
 * Every complete record of a chunk is in the items that `push` returns: nothing waits for more.
 * Source: QEMU docs/devel/migration and captured streams of 7.2.22 and 10.0.2.
 *
 * @param options.reuseContents contents of pages are valid only until the next `push`
 */
export function createStreamReader(
  options: { readonly pageBytes?: number; readonly reuseContents?: boolean } = {},
): StreamReader {
  const contents = new PageContents(options.reuseContents ?? false);
  return new Reader(options.pageBytes ?? DEFAULT_PAGE_BYTES, contents);
}

class Reader implements StreamReader {
  private expected: Expected = "fileHeader";
  private items: MemoryItem[] = [];
  private readonly held = new HeldBytes();
  private bytesNeeded = 1;
  private traits: StreamTraits;
  private memory: { section: number; records: RecordReader; group: PageGroup } | null = null;
  private readonly blockList = newBlockList();
  private bitmapSection: number | null = null;
  private endSeen = false;
  private opaqueBytes = 0;
  private reason: string | null = null;

  constructor(pageBytes: number, private readonly contents: PageContents) {
    this.traits = { pageBytes, ignoreShared: false, mixedPageSizes: false };
  }

  get phase(): StreamPhase {
    if (this.expected === "verbatim") return this.reason === null ? "device" : "opaque";
    return this.memory ? this.endSeen ? "final" : "memory" : "prelude";
  }

  get stats(): StreamStats {
    const { pageRecords, zeroRecords } = this.memory?.records ?? { pageRecords: 0, zeroRecords: 0 };
    const { opaqueBytes, reason, held } = this;
    return { pageRecords, zeroRecords, opaqueBytes, heldBytes: held.length, reason };
  }

  push(chunk: Uint8Array): MemoryItem[] {
    this.contents.reuse();
    let at = 0;
    while (this.held.length > 0 && at < chunk.length) {
      const missing = Math.min(this.bytesNeeded - this.held.length, chunk.length - at);
      this.held.append(chunk.subarray(at, at + missing));
      at += missing;
      // The parsers never ask past a record's end, so held bytes are used up whole or not at all.
      if (this.held.length >= this.bytesNeeded && this.advance(this.held.bytes) > 0) {
        this.held.clear();
      }
    }
    const rest = chunk.subarray(at);
    const bytesUsed = this.advance(rest);
    this.memory?.group.flush();
    if (bytesUsed < rest.length) this.held.append(rest.subarray(bytesUsed));
    return this.takeItems();
  }

  end(): MemoryItem[] {
    if (this.held.length > 0) {
      this.giveUp(this.held.bytes, "the stream ended inside a record");
      this.held.clear();
    }
    return this.takeItems();
  }

  private takeItems(): MemoryItem[] {
    const { items } = this;
    this.items = [];
    return items;
  }

  /** Parses whole records from the start of `bytes`; returns how many bytes they were. */
  private advance(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (at < bytes.length) {
      if (this.expected === "verbatim") {
        this.emitOpaque(bytes.slice(at));
        return bytes.length;
      }
      const step = this.step(bytes, view, at);
      if (step.kind === "incomplete" && step.bytesNeeded <= MAX_HELD_BYTES) {
        this.bytesNeeded = step.bytesNeeded;
        return step.at;
      }
      if (step.kind === "complete") at = step.at;
      else {
        const reason = step.kind === "unknown"
          ? step.reason
          : `a record of more than ${MAX_HELD_BYTES} bytes`;
        this.giveUp(bytes.subarray(step.at), reason);
        return bytes.length;
      }
    }
    return at;
  }

  private step(bytes: Uint8Array, view: DataView, start: number): Step {
    let at = start;
    if (this.memory && (this.expected === "partRecords" || this.expected === "endRecords")) {
      const stop = this.memory.records.read(bytes, view, at);
      if (stop.kind !== "endOfSection") return stop;
      at = stop.at;
    }
    const parsed = attempt(bytes, view, at, (cursor) => this.parse(cursor));
    if (parsed.kind !== "complete") return { ...parsed, at };
    const next = at + parsed.bytesUsed;
    // The verbatim bytes come before whatever the element means: the layout follows its START.
    if (parsed.value.relay && next > at) this.emitOpaque(bytes.slice(at, next));
    parsed.value.enter();
    return { kind: "complete", at: next };
  }

  /** Parses the one thing that is expected; its effects wait in `enter` until it was complete. */
  private parse(cursor: Cursor): Parsed {
    const then = (expected: Expected): Parsed => ({
      relay: true,
      enter: () => this.expected = expected,
    });
    switch (this.expected) {
      case "fileHeader":
        parseFileHeader(cursor);
        return then("configuration");
      case "configuration":
        if (cursor.peekU8() !== ELEMENT.configuration) return then("element");
        parseConfiguration(cursor);
        return then("configurationSubsections");
      case "configurationSubsections": {
        if (cursor.peekU8() !== ELEMENT.subsection) return then("element");
        const traits = parseConfigurationSubsection(cursor, this.traits);
        return { relay: true, enter: () => this.traits = traits };
      }
      case "bitmapChunk":
        return then(parseBitmapChunk(cursor) ? "bitmapFooter" : "bitmapChunk");
      case "bitmapFooter":
        parseFooter(cursor, this.bitmapSection!);
        return then("element");
      case "partRecords":
        parseSectionEnd(cursor, this.memory!.section);
        return { relay: false, enter: () => this.expected = "element" };
      case "endRecords": {
        const { section } = this.memory!;
        parseSectionEnd(cursor, section);
        return {
          relay: false,
          enter: () => {
            this.expected = "element";
            this.endSeen = true;
            this.emitOpaque(emptySection(ELEMENT.end, section));
          },
        };
      }
      default:
        return this.parseElement(cursor);
    }
  }

  private parseElement(cursor: Cursor): Parsed {
    switch (cursor.peekU8()) {
      case ELEMENT.command: {
        // Traits shape the block list only; a command behind it changes nothing any more.
        const traits = parseCommand(cursor, this.traits);
        return { relay: true, enter: () => this.traits = traits };
      }
      case ELEMENT.start:
        return this.parseStart(cursor);
      case ELEMENT.part:
      case ELEMENT.end: {
        const expected = cursor.u8() === ELEMENT.part ? "partRecords" : "endRecords";
        const section = cursor.be32();
        if (section === this.memory?.section && !this.endSeen) {
          return { relay: false, enter: () => this.expected = expected };
        }
        if (section !== this.bitmapSection) cursor.unknown(`section ${section} was never started`);
        return { relay: true, enter: () => this.expected = "bitmapChunk" };
      }
      case ELEMENT.full:
        if (!this.endSeen) cursor.unknown("a device section before the end of memory");
        return { relay: false, enter: () => this.expected = "verbatim" };
      case ELEMENT.eof:
        return { relay: false, enter: () => this.expected = "verbatim" };
      default:
        return cursor.unknown(`element type 0x${cursor.peekU8().toString(16)}`);
    }
  }

  private parseStart(cursor: Cursor): Parsed {
    const header = parseNamedSectionHeader(cursor);
    if (header.name === "ram" && !this.memory && header.section !== this.bitmapSection) {
      const blocks = parseRamStart(cursor, header, this.traits, this.blockList);
      return { relay: true, enter: () => this.beginMemory(header.section, blocks) };
    }
    if (
      header.name === "dirty-bitmap" && header.version === DIRTY_BITMAP_VERSION &&
      this.bitmapSection === null && header.section !== this.memory?.section
    ) {
      return {
        relay: true,
        enter: () => {
          this.bitmapSection = header.section;
          this.expected = "bitmapChunk";
        },
      };
    }
    return cursor.unknown(`section ${header.name} version ${header.version}`);
  }

  private beginMemory(section: number, blocks: MemoryBlock[]): void {
    const { pageBytes } = this.traits;
    const group = new PageGroup(
      pageBytes,
      (item) => this.items.push(item),
      (bytes) => this.contents.take(bytes),
    );
    this.memory = { section, group, records: new RecordReader(blocks, pageBytes, group) };
    this.items.push({ kind: "layout", pageBytes, section, blocks });
  }

  /** From `bytes` on everything is verbatim; an open memory section is opened anew in front. */
  private giveUp(bytes: Uint8Array, reason: string): void {
    this.reason = reason;
    const framing = this.memory && this.expected === "partRecords"
      ? reopenedSection(ELEMENT.part, this.memory.section, this.memory.records.last)
      : this.memory && this.expected === "endRecords"
      ? reopenedSection(ELEMENT.end, this.memory.section, this.memory.records.last)
      : new Uint8Array();
    this.expected = "verbatim";
    const opaque = new Uint8Array(framing.length + bytes.length);
    opaque.set(framing);
    opaque.set(bytes, framing.length);
    this.emitOpaque(opaque, reason);
  }

  private emitOpaque(bytes: Uint8Array, reason?: string): void {
    this.memory?.group.flush();
    this.opaqueBytes += bytes.length;
    this.items.push({ kind: "opaque", bytes, ...(reason === undefined ? {} : { reason }) });
  }
}

interface Parsed {
  /** The parsed bytes go out verbatim. */
  readonly relay: boolean;
  readonly enter: () => void;
}

type Step =
  | { readonly kind: "complete"; readonly at: number }
  | { readonly kind: "incomplete"; readonly at: number; readonly bytesNeeded: number }
  | { readonly kind: "unknown"; readonly at: number; readonly reason: string };
