import { createHash } from "node:crypto";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import { createStreamReader } from "../../src/qemu/stream/reader.ts";
import { createReturnPathParser } from "../../src/qemu/stream/return_path.ts";

/** What a captured stream decodes to; the same at any chunking. */
export interface StreamSummary {
  readonly phase: string;
  readonly reason: string | null;
  readonly layout: readonly { name: string; lengthBytes: number }[];
  /** Non-memory parts verbatim (long ones by digest), and what came between them. */
  readonly sequence: readonly string[];
  /** SHA-256 of each block after the last page item. */
  readonly memory: Readonly<Record<string, string>>;
}

/** Parts up to this length stand in the summary as hex, longer ones as a digest. */
const HEX_BYTES_MAX = 64;

export function summarizeStream(bytes: Uint8Array, chunkBytes = bytes.length): StreamSummary {
  const reader = createStreamReader();
  const memory = new RebuiltMemory();
  const sequence: string[] = [];
  let pageCount = 0;
  let zeroCount = 0;
  const endRun = () => {
    if (pageCount + zeroCount > 0) sequence.push(`${pageCount} pages, ${zeroCount} zero pages`);
    pageCount = zeroCount = 0;
  };
  const tail: Uint8Array[] = [];
  const take = (items: readonly MemoryItem[]) => {
    for (const item of items) {
      memory.apply(item);
      if (item.kind === "pages") pageCount += item.pageIndexes.length;
      else if (item.kind === "zeros") {
        for (let i = 1; i < item.ranges.length; i += 2) zeroCount += item.ranges[i];
      } else {
        endRun();
        if (item.kind === "layout") sequence.push("layout");
        else if (item.reason !== undefined || tail.length > 0 || isDevice(item.bytes)) {
          tail.push(item.bytes);
        } else sequence.push(`opaque ${digestOf(item.bytes)}`);
      }
    }
  };
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    take(reader.push(bytes.slice(at, at + chunkBytes)));
  }
  take(reader.end());
  endRun();
  sequence.push(`rest ${digestOf(concat(tail))}`);
  return {
    phase: reader.phase,
    reason: reader.stats.reason,
    layout: memory.layout,
    sequence,
    memory: memory.digests(),
  };
}

/** The messages of a captured return path, one line each; page requests without their offsets. */
export function summarizeReturnPath(bytes: Uint8Array): string[] {
  const parser = createReturnPathParser();
  return parser.push(bytes).map((message) => {
    if (message.kind === "pong") return `pong ${message.value}`;
    if (message.kind === "shut") return `shut ${message.status}`;
    return message.kind;
  });
}

/** Memory as a destination would have it, by the items alone. */
export class RebuiltMemory {
  layout: { name: string; lengthBytes: number }[] = [];
  readonly blocks: Uint8Array[] = [];
  private pageBytes = 0;

  apply(item: MemoryItem): void {
    if (item.kind === "layout") {
      this.layout = item.blocks.map(({ name, lengthBytes }) => ({ name, lengthBytes }));
      this.pageBytes = item.pageBytes;
      for (const { lengthBytes } of item.blocks) this.blocks.push(new Uint8Array(lengthBytes));
    }
    if (item.kind === "pages") {
      item.pageIndexes.forEach((page, i) => {
        const content = item.contents.subarray(i * this.pageBytes, (i + 1) * this.pageBytes);
        this.blocks[item.block].set(content, page * this.pageBytes);
      });
    }
    if (item.kind === "zeros") {
      for (let i = 0; i < item.ranges.length; i += 2) {
        const from = item.ranges[i] * this.pageBytes;
        this.blocks[item.block].fill(0, from, from + item.ranges[i + 1] * this.pageBytes);
      }
    }
  }

  digests(): Record<string, string> {
    return Object.fromEntries(this.layout.map(({ name }, i) => [name, sha256(this.blocks[i])]));
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The device state begins with a FULL section. */
function isDevice(bytes: Uint8Array): boolean {
  return bytes[0] === 0x04;
}

function digestOf(bytes: Uint8Array): string {
  const text = bytes.length <= HEX_BYTES_MAX
    ? Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
    : `sha256:${sha256(bytes)}`;
  return `${bytes.length} bytes ${text}`;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
