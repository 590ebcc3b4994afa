import type { Extent } from "../../core/extents.ts";
import {
  BLOCK_BYTES,
  type BlockDigest,
  digestBlock,
  isZeroRange,
  isZeroUnit,
  sameUnit,
  UNIT_BYTES,
} from "../../image/block_digest.ts";
import { BLOCK_UNKNOWN, BLOCK_ZERO, type BlockMap, mapOf } from "../../image/block_map.ts";
import { UnitDigests } from "../../image/unit_digests.ts";
import type { Switchable } from "../options.ts";
import type { Piece } from "../disk_pieces.ts";

/** Digests of units at most: those of 3.2 GiB of the disks. */
export const UNIT_DIGESTS_BYTES_MAX = 16 * 1024 * 1024;

/** What did not have to cross of the disks, by its name in a report's `savedBytes`. */
export interface DiskSaved {
  /** The round's own holes. */
  hole: number;
  zero: number;
  unchanged: number;
  warm: number;
}

/** A hole over more pieces than this of what the destination has goes as one range. */
const HOLE_PARTS_MAX = 256;

/** How a unit gets to the destination: it is there, goes as a range, or as it is. */
type Way = "held" | "heldZero" | "zero" | "data";

/** What goes into one frame, and what the destination holds once that is applied. */
export class Outgoing {
  readonly extents: Extent[] = [];
  /** Contents of the data extents, in their order: views into what was read, until it is packed. */
  readonly contents: Uint8Array[] = [];
  dataBytes = 0;
  readonly updates: (() => void)[] = [];
  /** Bytes of the round that these extents, and what needed none, stand for. */
  offeredBytes = 0;
  readonly saved: DiskSaved = { hole: 0, zero: 0, unchanged: 0, warm: 0 };

  constructor(readonly disk: number) {}

  data(offsetBytes: number, bytes: Uint8Array): void {
    this.contents.push(bytes);
    this.dataBytes += bytes.byteLength;
    this.#add({ kind: "data", offsetBytes, lengthBytes: bytes.byteLength });
  }

  zero(offsetBytes: number, lengthBytes: number): void {
    this.#add({ kind: "zero", offsetBytes, lengthBytes });
  }

  #add(extent: Extent): void {
    const last = this.extents.at(-1);
    if (last?.kind !== extent.kind || last.offsetBytes + last.lengthBytes !== extent.offsetBytes) {
      this.extents.push(extent);
      return;
    }
    const lengthBytes = last.lengthBytes + extent.lengthBytes;
    this.extents[this.extents.length - 1] = { ...last, lengthBytes };
  }
}

/**
 * Decides what of a round has to cross: the source's account of what each disk holds at the
 * destination. Frames of the disk channel are applied in their order, so the account is right as soon
 * as a frame has its number; `commit` is called then and not before, because a frame that is never
 * sent must not count.
 */
export class DiskPlanner {
  /** By number of the disk; null where a disk is too large for a map. */
  readonly maps: readonly (BlockMap | null)[];
  readonly #units: UnitDigests;
  readonly #disabled: ReadonlySet<Switchable>;

  constructor(
    diskBytes: readonly number[],
    disable: readonly Switchable[] = [],
    unitDigestsBytesMax = UNIT_DIGESTS_BYTES_MAX,
  ) {
    this.maps = diskBytes.map(mapOf);
    this.#units = new UnitDigests(unitDigestsBytesMax);
    this.#disabled = new Set(disable);
  }

  /**
   * Adds to `out` what of a piece has to cross.
   *
   * @param content of the piece, from its offset on; not of a hole
   * @param first in round 1 what is equal was there before, later it was sent
   */
  plan(out: Outgoing, piece: Piece, content: Uint8Array, first: boolean): void {
    const map = this.maps[out.disk];
    const compares = !this.#disabled.has(first ? "warm" : "unchanged");
    if (piece.kind === "part" || map === null) return this.#unseen(out, piece, content);
    if (piece.kind === "hole") {
      out.offeredBytes += piece.lengthBytes;
      return this.#hole(out, map, piece.offsetBytes, piece.lengthBytes, compares);
    }
    for (let at = 0; at < content.byteLength; at += BLOCK_BYTES) {
      const lengthBytes = Math.min(BLOCK_BYTES, content.byteLength - at);
      const block = (piece.offsetBytes + at) / BLOCK_BYTES;
      const bytes = content.subarray(at, at + lengthBytes);
      out.offeredBytes += lengthBytes;
      this.#block(out, map, block, bytes, compares, first ? "warm" : "unchanged");
    }
  }

  /** What was planned has its place in the channel: from here on it is what the destination holds. */
  commit(out: Outgoing): void {
    for (const update of out.updates) update();
  }

  #block(
    out: Outgoing,
    map: BlockMap,
    block: number,
    bytes: Uint8Array,
    compares: boolean,
    equal: "warm" | "unchanged",
  ): void {
    const seen = digestBlock(bytes, 0, bytes.byteLength);
    const held = compares ? map.stateOf(block) : BLOCK_UNKNOWN;
    if (seen.isZero && held === BLOCK_ZERO) {
      out.saved[this.#disabled.has("zero") ? equal : "zero"] += bytes.byteLength;
      return;
    }
    if (compares && !seen.isZero && map.hasDigest(block, seen.digest)) {
      out.saved[equal] += bytes.byteLength;
      this.#units.set(out.disk, block, seen.units);
      return;
    }
    const units = held === BLOCK_UNKNOWN || held === BLOCK_ZERO
      ? null
      : this.#units.get(out.disk, block);
    const wayOf = (unit: number): Way => {
      const isZero = isZeroUnit(seen.units, unit);
      const isHeld = held === BLOCK_ZERO
        ? isZero
        : units !== null && sameUnit(units, seen.units, unit);
      const asRange = isZero && !this.#disabled.has("zero");
      return isHeld ? (asRange ? "heldZero" : "held") : asRange ? "zero" : "data";
    };
    for (let at = 0; at < bytes.byteLength;) {
      const way = wayOf(at / UNIT_BYTES);
      let end = at;
      do end += UNIT_BYTES; while (end < bytes.byteLength && wayOf(end / UNIT_BYTES) === way);
      const part = bytes.subarray(at, end);
      if (way === "data") out.data(block * BLOCK_BYTES + at, part);
      else out.saved[way === "held" ? equal : "zero"] += part.byteLength;
      if (way === "zero") out.zero(block * BLOCK_BYTES + at, part.byteLength);
      at = end;
    }
    out.updates.push(() => this.#nowHolds(out.disk, map, block, seen));
  }

  #nowHolds(disk: number, map: BlockMap, block: number, seen: BlockDigest): void {
    if (seen.isZero) return map.setRange(block, 1, BLOCK_ZERO);
    map.setDigest(block, seen.digest);
    this.#units.set(disk, block, seen.units);
  }

  /** Holes travel as ranges, but for those that the destination has as well. */
  #hole(
    out: Outgoing,
    map: BlockMap,
    offsetBytes: number,
    lengthBytes: number,
    compares: boolean,
  ): void {
    out.saved.hole += lengthBytes;
    const first = offsetBytes / BLOCK_BYTES;
    const count = Math.ceil(lengthBytes / BLOCK_BYTES);
    const parts: { at: number; end: number }[] = [];
    for (const run of map.runs(first, count)) {
      if (compares && run.state === BLOCK_ZERO) continue;
      const at = run.first * BLOCK_BYTES;
      const end = Math.min(offsetBytes + lengthBytes, (run.first + run.count) * BLOCK_BYTES);
      if (parts.at(-1)?.end === at) parts[parts.length - 1].end = end;
      else parts.push({ at, end });
      if (parts.length > HOLE_PARTS_MAX) {
        parts.splice(0, parts.length, { at: offsetBytes, end: offsetBytes + lengthBytes });
        break;
      }
    }
    for (const { at, end } of parts) out.zero(at, end - at);
    out.updates.push(() => map.setRange(first, count, BLOCK_ZERO));
  }

  /** What cannot be compared travels as it is, and what the block holds then is not known. */
  #unseen(out: Outgoing, piece: Piece, content: Uint8Array): void {
    const { offsetBytes, lengthBytes } = piece.kind === "part" ? piece.extent : piece;
    const isHole = piece.kind === "hole" || (piece.kind === "part" && piece.extent.kind === "zero");
    out.offeredBytes += lengthBytes;
    if (isHole) {
      out.saved.hole += lengthBytes;
      out.zero(offsetBytes, lengthBytes);
    } else if (!this.#disabled.has("zero") && isZeroRange(content, 0, lengthBytes)) {
      out.saved.zero += lengthBytes;
      out.zero(offsetBytes, lengthBytes);
    } else out.data(offsetBytes, content);
    const map = this.maps[out.disk];
    const block = Math.floor(offsetBytes / BLOCK_BYTES);
    if (map !== null) out.updates.push(() => map.setRange(block, 1, BLOCK_UNKNOWN));
  }
}
