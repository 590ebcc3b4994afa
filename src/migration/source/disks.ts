import type { DiskRound } from "../../guest/guest.ts";
import { cutIntoPieces, dataBytesOf, type Piece } from "../disk_pieces.ts";
import { DISK_BATCH_BYTES, type DiskBatchDeps, DiskBatches } from "./disk_batches.ts";

/** Reads ahead of what is being sent: hides the LAN's round trip. */
const READ_AHEAD = 4;
/** Pieces that are read together at most; a scattered round has many small ones. */
const PIECES_PER_READ_MAX = 4096;

/** Pieces that are read together, with their contents one after the other. */
interface Reading {
  readonly disk: number;
  readonly pieces: Piece[];
  readonly contents: Promise<Uint8Array>;
}

/** What a round is sent with. */
export interface DiskRoundDeps extends Omit<DiskBatchDeps, "passed"> {
  /** Number of a disk in the offer, which is its name on the wire, and its size. */
  readonly disk: (diskId: string) => { readonly number: number; readonly sizeBytes: number };
  /** Called for data that needs no more work: it was handed to the link, or need not travel. */
  readonly passed: (diskId: string, dataBytes: number) => void;
}

/**
 * Sends one round of all disks: reads ahead, leaves out what the destination has, packs and hands
 * over in order. Back-pressure comes from the channel; what is read ahead is bounded by `READ_AHEAD`
 * readings and the batches that are being packed.
 *
 * @returns raw bytes of data extents sent
 */
export async function sendDiskRound(
  rounds: readonly DiskRound[],
  deps: DiskRoundDeps,
): Promise<number> {
  const ids = new Map(rounds.map(({ diskId }) => [deps.disk(diskId).number, diskId]));
  const passed = (disk: number, dataBytes: number) => deps.passed(ids.get(disk)!, dataBytes);
  const batches = new DiskBatches({ ...deps, passed });
  try {
    await addAll(batches, rounds, deps);
    await batches.end();
    return batches.sentBytes;
  } catch (error) {
    await batches.abandon(error);
    throw error;
  }
}

async function addAll(
  batches: DiskBatches,
  rounds: readonly DiskRound[],
  { disk, stop }: DiskRoundDeps,
): Promise<void> {
  const ahead: Reading[] = [];
  const readings = readingsOf(rounds, disk);
  for (;;) {
    while (ahead.length < READ_AHEAD) {
      const next = readings.next();
      if (next.done) break;
      // A failed read is reported when its turn comes; until then it must not count as unhandled.
      next.value.contents.catch(() => {});
      ahead.push(next.value);
    }
    const reading = ahead.shift();
    if (!reading) return;
    const contents = await reading.contents;
    stop.throwIfAborted();
    let at = 0;
    for (const piece of reading.pieces) {
      const lengthBytes = contentBytesOf(piece);
      await batches.add(reading.disk, piece, contents.subarray(at, at + lengthBytes));
      at += lengthBytes;
    }
  }
}

function* readingsOf(
  rounds: readonly DiskRound[],
  disk: DiskRoundDeps["disk"],
): Generator<Reading> {
  for (const round of rounds) {
    const { number, sizeBytes } = disk(round.diskId);
    let pieces: Piece[] = [];
    let bytes = 0;
    const reading = (): Reading => ({
      disk: number,
      pieces,
      contents: readAll(round, pieces, bytes),
    });
    for (const piece of cutIntoPieces(round.extents, sizeBytes, DISK_BATCH_BYTES)) {
      const pieceBytes = contentBytesOf(piece);
      const isFull = bytes + pieceBytes > DISK_BATCH_BYTES || pieces.length >= PIECES_PER_READ_MAX;
      if (pieces.length > 0 && isFull) {
        yield reading();
        pieces = [];
        bytes = 0;
      }
      pieces.push(piece);
      bytes += pieceBytes;
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
