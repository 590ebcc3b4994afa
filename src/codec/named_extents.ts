/**
 * Parts of disks that travel as names: aligned units that the destination has already, in its store
 * or from another channel (docs/decisions/013). On the wire a named extent has `varint 0` in the
 * place of its length, then `varint units`; the contents have 32 bytes for each unit, its name.
 */
import type { Extent } from "../core/extents.ts";
import {
  getName,
  isZeroUnit,
  NAME_BYTES,
  nameBuffer,
  nameContent,
  putName,
  UNIT_BYTES,
} from "../image/content_name.ts";
import type { NamedContents, PageNames } from "./named_items.ts";

/** Whole units; their contents travel as names. */
export interface NamedExtent {
  readonly kind: "named";
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}
export type BatchExtent = Extent | NamedExtent;

/** Bytes of contents that an extent of a batch has on the wire. */
export function contentBytesOf({ kind, lengthBytes }: BatchExtent): number {
  if (kind === "zero") return 0;
  return kind === "data" ? lengthBytes : lengthBytes / UNIT_BYTES * NAME_BYTES;
}

/** What travels of some extents once the destination's units are named. */
export interface NamedBatch {
  readonly extents: readonly BatchExtent[];
  readonly contents: Uint8Array;
  /** Bytes of data that names took the place of, less the names. */
  readonly savedBytes: number;
}

/** Names the units of data extents that may be named, and notes the others. */
export function nameExtents(
  extents: readonly Extent[],
  contents: Uint8Array,
  names: PageNames,
): NamedBatch {
  const out = new Splitter(contents);
  const name = nameBuffer();
  for (const extent of extents) {
    if (extent.kind !== "data") {
      out.extents.push(extent);
      continue;
    }
    out.begin(extent);
    for (const { from, unit } of unitsOf(extent, out.contentsOf(extent))) {
      if (isZeroUnit(unit)) continue;
      nameContent(unit, name);
      if (names.mayName(name)) {
        names.named(name, unit);
        out.named(from, name);
      } else names.carried(name);
    }
    out.end();
  }
  return out.batch();
}

/**
 * Fills in what was named.
 *
 * @param extents as they came; named ones become data
 * @param missing gets the names that are not at hand
 * @returns contents of all data, back to back
 */
export function fillExtents(
  extents: readonly BatchExtent[],
  contents: Uint8Array,
  named: NamedContents,
  missing: Uint32Array[],
): { extents: Extent[]; contents: Uint8Array } {
  const filled: Extent[] = [];
  const isData = ({ kind }: BatchExtent) => kind !== "zero";
  const bytes = new Uint8Array(
    extents.filter(isData).reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
  );
  const name = nameBuffer();
  let from = 0;
  let to = 0;
  for (const extent of extents) {
    const { kind, offsetBytes, lengthBytes } = extent;
    if (kind === "named") {
      for (let at = 0; at < lengthBytes; at += UNIT_BYTES, from += NAME_BYTES, to += UNIT_BYTES) {
        getName(contents, from, name);
        if (!named.resolve(name, bytes.subarray(to, to + UNIT_BYTES))) missing.push(name.slice());
      }
    } else if (kind === "data") {
      bytes.set(contents.subarray(from, from + lengthBytes), to);
      from += lengthBytes;
      to += lengthBytes;
    }
    const last = filled.at(-1);
    // What was cut where names begin and end is written in one piece again.
    if (kind === "zero") filled.push(extent);
    else if (last?.kind === "data" && last.offsetBytes + last.lengthBytes === offsetBytes) {
      filled[filled.length - 1] = { ...last, lengthBytes: last.lengthBytes + lengthBytes };
    } else filled.push({ kind: "data", offsetBytes, lengthBytes });
  }
  return { extents: filled, contents: bytes };
}

/** Tells of every aligned unit that came itself. */
export function noteUnits(
  extents: readonly BatchExtent[],
  contents: Uint8Array,
  named: NamedContents,
): void {
  let at = 0;
  for (const extent of extents) {
    const end = at + contentBytesOf(extent);
    if (extent.kind === "data") {
      for (const { unit } of unitsOf(extent, contents.subarray(at, end))) named.arrived(unit);
    }
    at = end;
  }
}

/** The units of a data extent that are aligned on the disk, by where they begin in it. */
function* unitsOf(
  { offsetBytes, lengthBytes }: Extent,
  contents: Uint8Array,
): Generator<{ from: number; unit: Uint8Array }> {
  const first = Math.ceil(offsetBytes / UNIT_BYTES) * UNIT_BYTES - offsetBytes;
  for (let from = first; from + UNIT_BYTES <= lengthBytes; from += UNIT_BYTES) {
    yield { from, unit: contents.subarray(from, from + UNIT_BYTES) };
  }
}

/** Cuts data extents where units are named. */
class Splitter {
  readonly extents: BatchExtent[] = [];
  #savedBytes = 0;
  readonly #pieces: Uint8Array[] = [];
  #extent: Extent = { kind: "data", offsetBytes: 0, lengthBytes: 0 };
  /** Where the present extent begins in the contents, and how much of it is dealt with. */
  #at = 0;
  #done = 0;

  constructor(private readonly contents: Uint8Array) {}

  begin(extent: Extent): void {
    this.#extent = extent;
    this.#done = 0;
  }

  contentsOf({ lengthBytes }: Extent): Uint8Array {
    return this.contents.subarray(this.#at, this.#at + lengthBytes);
  }

  named(from: number, name: Uint32Array): void {
    this.#dataUpTo(from);
    const bytes = new Uint8Array(NAME_BYTES);
    putName(name, bytes);
    this.#pieces.push(bytes);
    const offsetBytes = this.#extent.offsetBytes + from;
    const last = this.extents.at(-1);
    if (last?.kind === "named" && last.offsetBytes + last.lengthBytes === offsetBytes) {
      this.extents[this.extents.length - 1] = {
        ...last,
        lengthBytes: last.lengthBytes + UNIT_BYTES,
      };
    } else this.extents.push({ kind: "named", offsetBytes, lengthBytes: UNIT_BYTES });
    this.#done = from + UNIT_BYTES;
    this.#savedBytes += UNIT_BYTES - NAME_BYTES;
  }

  end(): void {
    this.#dataUpTo(this.#extent.lengthBytes);
    this.#at += this.#extent.lengthBytes;
  }

  batch(): NamedBatch {
    const { extents } = this;
    if (this.#savedBytes === 0) return { extents, contents: this.contents, savedBytes: 0 };
    const bytes = this.#pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const contents = new Uint8Array(bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      contents.set(piece, at);
      at += piece.byteLength;
    }
    return { extents, contents, savedBytes: this.#savedBytes };
  }

  #dataUpTo(end: number): void {
    const lengthBytes = end - this.#done;
    if (lengthBytes === 0) return;
    const offsetBytes = this.#extent.offsetBytes + this.#done;
    this.extents.push({ kind: "data", offsetBytes, lengthBytes });
    this.#pieces.push(this.contents.subarray(this.#at + this.#done, this.#at + end));
    this.#done = end;
  }
}
