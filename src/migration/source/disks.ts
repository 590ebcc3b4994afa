import type { DiskRound } from "../../guest/guest.ts";
import { openDiskBatch } from "../../codec/disk_batch.ts";
import { nameExtents } from "../../codec/named_extents.ts";
import type { PageNames } from "../../codec/named_items.ts";
import { inlineSealer, type Sealer } from "../../codec/sealer.ts";
import { BLOCK_BYTES } from "../../image/block_digest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { TrafficMeter } from "../traffic.ts";
import { cutIntoPieces, dataBytesOf, type Piece } from "../disk_pieces.ts";
import { type DiskPlanner, Outgoing } from "./disk_planner.ts";

/** Raw bytes of one disk batch: large enough for zstd, short enough (tens of ms) on a slow link. */
export const DISK_BATCH_BYTES = 4 * BLOCK_BYTES;
/** Reads ahead of what is being sent: hides the LAN's round trip. */
const READ_AHEAD = 4;
/** Pieces that are read together at most; a scattered round has many small ones. */
const PIECES_PER_READ_MAX = 4096;
/** Extents in one batch at most, about. */
const EXTENTS_PER_BATCH_MAX = 4096;

export interface DiskProgress {
  /** Called for data that needs no more work: it was handed to the link, or need not travel. */
  passed(diskId: string, dataBytes: number): void;
}

/** Pieces that are read together, with their contents one after the other. */
interface Reading {
  readonly disk: number;
  readonly diskId: string;
  readonly pieces: Piece[];
  readonly dataBytes: number;
  readonly contents: Promise<Uint8Array>;
}

/** What a round is sent with. */
export interface DiskRoundDeps {
  readonly planner: DiskPlanner;
  /** Number of a disk in the offer, which is its name on the wire, and its size. */
  readonly disk: (diskId: string) => { readonly number: number; readonly sizeBytes: number };
  readonly channel: Channel;
  readonly meter: TrafficMeter;
  readonly progress: DiskProgress;
  /** The first round of the move: what the destination has by then was there before. */
  readonly first: boolean;
  /** Contents that the destination may have from elsewhere; null or absent: none. */
  readonly names?: PageNames | null;
  /** Packs its batches; without one this thread does. */
  readonly sealer?: Sealer;
  readonly stop: AbortSignal;
}

/**
 * Sends one round of all disks: reads ahead, leaves out what the destination has, encodes and hands
 * over in order. Back-pressure comes from `channel.send`; what is read ahead is bounded by
 * `READ_AHEAD` readings.
 *
 * @returns raw bytes of data extents sent
 */
export async function sendDiskRound(
  rounds: readonly DiskRound[],
  deps: DiskRoundDeps,
): Promise<number> {
  const { planner, progress, first, stop } = deps;
  let sentBytes = 0;
  let out: Outgoing | null = null;
  const flush = async () => {
    if (out === null) return;
    const full = out;
    out = null;
    sentBytes += full.dataBytes;
    await sendBatch(full, deps);
  };
  const ahead: Reading[] = [];
  const readings = readingsOf(rounds, deps.disk);
  for (;;) {
    while (ahead.length < READ_AHEAD) {
      const next = readings.next();
      if (next.done) break;
      // A failed read is reported when its turn comes; until then it must not count as unhandled.
      next.value.contents.catch(() => {});
      ahead.push(next.value);
    }
    const reading = ahead.shift();
    if (!reading) break;
    const contents = await reading.contents;
    stop.throwIfAborted();
    if (out !== null && (out as Outgoing).disk !== reading.disk) await flush();
    let at = 0;
    for (const piece of reading.pieces) {
      const lengthBytes = contentBytesOf(piece);
      const isFull = out !== null &&
        ((out as Outgoing).dataBytes + lengthBytes > DISK_BATCH_BYTES ||
          (out as Outgoing).extents.length >= EXTENTS_PER_BATCH_MAX);
      if (isFull) await flush();
      out ??= new Outgoing(reading.disk);
      planner.plan(out, piece, contents.subarray(at, at + lengthBytes), first);
      at += lengthBytes;
    }
    progress.passed(reading.diskId, reading.dataBytes);
  }
  await flush();
  return sentBytes;
}

async function sendBatch(out: Outgoing, deps: DiskRoundDeps): Promise<void> {
  const { planner, channel, meter, stop, names = null, sealer = inlineSealer } = deps;
  stop.throwIfAborted();
  if (out.extents.length === 0) {
    // Nothing has to cross, so there is nothing that could fail to.
    planner.commit(out);
    return meter.sentDisk(out, 0);
  }
  const whole = { extents: out.extents, contents: joined(out.contents, out.dataBytes) };
  const { savedBytes, ...wire } = names === null
    ? { ...whole, savedBytes: 0 }
    : nameExtents(whole.extents, whole.contents, names);
  const named = names?.closeBatch();
  let payload: Uint8Array;
  try {
    payload = await sealer.seal(openDiskBatch({ disk: out.disk, ...wire }));
    // A stopped round sends no more, and its frames that never left must not count as held: between
    // this look, the frame's number (given before `send` returns) and `commit` nothing is awaited.
    stop.throwIfAborted();
  } catch (error) {
    named?.dropped();
    throw error;
  }
  const sent = channel.send(FRAME_TYPES.diskBatch, payload);
  planner.commit(out);
  named?.sent(channel.lastSent);
  meter.sentDisk(out, payload.byteLength, savedBytes);
  await sent;
}

function* readingsOf(
  rounds: readonly DiskRound[],
  disk: DiskRoundDeps["disk"],
): Generator<Reading> {
  for (const round of rounds) {
    const { number, sizeBytes } = disk(round.diskId);
    let pieces: Piece[] = [];
    let bytes = 0;
    let dataBytes = 0;
    const reading = (): Reading => ({
      disk: number,
      diskId: round.diskId,
      pieces,
      dataBytes,
      contents: readAll(round, pieces, bytes),
    });
    for (const piece of cutIntoPieces(round.extents, sizeBytes, DISK_BATCH_BYTES)) {
      const pieceBytes = contentBytesOf(piece);
      const isFull = bytes + pieceBytes > DISK_BATCH_BYTES || pieces.length >= PIECES_PER_READ_MAX;
      if (pieces.length > 0 && isFull) {
        yield reading();
        pieces = [];
        bytes = 0;
        dataBytes = 0;
      }
      pieces.push(piece);
      bytes += pieceBytes;
      dataBytes += dataBytesOf(piece);
    }
    if (pieces.length > 0) yield reading();
  }
}

/** Bytes that a piece has in the contents of its reading. */
function contentBytesOf(piece: Piece): number {
  return piece.kind === "blocks" ? piece.lengthBytes : dataBytesOf(piece);
}

async function readAll(
  round: DiskRound,
  pieces: readonly Piece[],
  bytes: number,
): Promise<Uint8Array> {
  const contents = new Uint8Array(bytes);
  const reads: Promise<void>[] = [];
  let at = 0;
  for (const piece of pieces) {
    if (piece.kind === "blocks") {
      for (const { offsetBytes, lengthBytes } of piece.reads) {
        const from = at + offsetBytes - piece.offsetBytes;
        reads.push(round.read(offsetBytes, contents.subarray(from, from + lengthBytes)));
      }
    } else if (piece.kind === "part" && piece.extent.kind === "data") {
      const { offsetBytes, lengthBytes } = piece.extent;
      reads.push(round.read(offsetBytes, contents.subarray(at, at + lengthBytes)));
    }
    at += contentBytesOf(piece);
  }
  await Promise.all(reads);
  return contents;
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
