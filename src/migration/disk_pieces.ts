import type { Extent } from "../core/extents.ts";
import { BLOCK_BYTES } from "../image/block_digest.ts";

/** What is known of a disk, cut so that whole blocks can be looked at. */
export type Piece =
  /** Whole blocks that hold no data. */
  | { readonly kind: "hole"; readonly offsetBytes: number; readonly lengthBytes: number }
  /** Whole blocks that hold some; what lies between `reads` is zeroes. */
  | {
    readonly kind: "blocks";
    readonly offsetBytes: number;
    readonly lengthBytes: number;
    readonly reads: readonly Extent[];
  }
  /** A part of one block, of which the round has no more: nothing can be said about the block. */
  | { readonly kind: "part"; readonly extent: Extent };

/** Bytes of the piece that must be read. */
export function dataBytesOf(piece: Piece): number {
  switch (piece.kind) {
    case "hole":
      return 0;
    case "blocks":
      return piece.reads.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    case "part":
      return piece.extent.kind === "data" ? piece.extent.lengthBytes : 0;
  }
}

/**
 * Cuts a round's extents (sorted, not overlapping) at the blocks of the disk. Every byte of the
 * extents is in exactly one piece, every block in at most one that is not a part; pieces come in the
 * order of their offsets.
 *
 * @param sizeBytes of the disk: its last block may be short
 * @param bytesMax of a piece with blocks; a multiple of the block size
 */
export function* cutIntoPieces(
  extents: readonly Extent[],
  sizeBytes: number,
  bytesMax: number,
): Generator<Piece> {
  for (let index = 0; index < extents.length;) {
    const span = [extents[index++]];
    while (index < extents.length && extents[index].offsetBytes === endOf(span[span.length - 1])) {
      span.push(extents[index++]);
    }
    yield* cutSpan(span, sizeBytes, bytesMax);
  }
}

/** `span` has no gap. */
function* cutSpan(span: readonly Extent[], sizeBytes: number, bytesMax: number): Generator<Piece> {
  const start = span[0].offsetBytes;
  const end = endOf(span[span.length - 1]);
  const firstWhole = Math.ceil(start / BLOCK_BYTES) * BLOCK_BYTES;
  const lastWhole = end >= sizeBytes ? end : Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES;
  if (firstWhole >= lastWhole) return yield* parts(span, start, end);
  yield* parts(span, start, firstWhole);
  let index = 0;
  for (let at = firstWhole; at < lastWhole;) {
    while (endOf(span[index]) <= at) index++;
    const holeEnd = endOfHole(span[index], at, lastWhole);
    if (holeEnd > at) {
      yield { kind: "hole", offsetBytes: at, lengthBytes: holeEnd - at };
      at = holeEnd;
      continue;
    }
    const until = endOfBlocks(span, index, at, Math.min(lastWhole, at + bytesMax));
    const reads = [...clip(span, index, at, until)].filter(({ kind }) => kind === "data");
    yield { kind: "blocks", offsetBytes: at, lengthBytes: until - at, reads };
    at = until;
  }
  yield* parts(span, lastWhole, end);
}

/** Where the whole blocks without data end that begin at `at`; `at` when there are none. */
function endOfHole(extent: Extent, at: number, limit: number): number {
  if (extent.kind === "data") return at;
  const end = endOf(extent);
  return end >= limit ? limit : Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Where blocks with data end that begin at `at`: at a whole block without any, or at `limit`. */
function endOfBlocks(span: readonly Extent[], index: number, at: number, limit: number): number {
  let end = Math.min(limit, at + BLOCK_BYTES);
  while (end < limit) {
    while (endOf(span[index]) <= end) index++;
    if (endOfHole(span[index], end, limit) > end) break;
    end = Math.min(limit, end + BLOCK_BYTES);
  }
  return end;
}

function* parts(span: readonly Extent[], from: number, to: number): Generator<Piece> {
  for (let at = from; at < to;) {
    const next = Math.min(to, (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES);
    for (const extent of clip(span, 0, at, next)) yield { kind: "part", extent };
    at = next;
  }
}

/** The parts of `span`, from its extent `index` on, that lie between two offsets. */
function* clip(
  span: readonly Extent[],
  index: number,
  from: number,
  to: number,
): Generator<Extent> {
  for (; index < span.length && span[index].offsetBytes < to; index++) {
    const start = Math.max(from, span[index].offsetBytes);
    const end = Math.min(to, endOf(span[index]));
    if (end > start) {
      yield { kind: span[index].kind, offsetBytes: start, lengthBytes: end - start };
    }
  }
}

function endOf({ offsetBytes, lengthBytes }: Extent): number {
  return offsetBytes + lengthBytes;
}
