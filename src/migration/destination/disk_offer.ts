import { endOfOffer, offerBlocks } from "../../codec/disk_offer.ts";
import type { DestinationSide } from "../../guest/guest.ts";
import { BLOCK_BYTES, digestBlock } from "../../image/block_digest.ts";
import { BLOCK_KNOWN, BLOCK_ZERO, type BlockMap } from "../../image/block_map.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { cutIntoPieces, type Piece } from "../disk_pieces.ts";

/** One read of an image; several are under way, which hides the LAN's round trip. */
const READ_BYTES = 4 * BLOCK_BYTES;
const READ_AHEAD = 4;
/** Blocks between two payloads: the source learns of half a GiB at a time. */
const BLOCKS_PER_OFFER = 8192;

/** What a site's disks are offered with. */
export interface DiskOfferDeps {
  readonly machine: Pick<DestinationSide, "diskContent" | "readDisk">;
  /** Ids of the disks, by their number in the offer of the move. */
  readonly diskIds: readonly string[];
  /** What is known of them; blocks that are known are not read. */
  readonly maps: readonly (BlockMap | null)[];
  readonly channel: Pick<Channel, "send">;
  /** True when nobody waits for the rest any more. */
  readonly isOver: () => boolean;
  /** The rest of an offer could not be made. */
  readonly failed: (error: unknown) => void;
}

/**
 * Tells the source what the disks of this site hold before anything is written to them: what
 * `maps` says, and what reading the rest gives. Ends in any case with the last payload, unless
 * nobody waits for it: what is not offered is sent. Never rejects.
 */
export async function offerDisks(deps: DiskOfferDeps): Promise<void> {
  const { diskIds, maps, channel, isOver, failed } = deps;
  try {
    for (const [number, id] of diskIds.entries()) {
      const map = maps[number];
      if (map !== null) await offerDisk(deps, number, id, map);
      if (isOver()) return;
    }
  } catch (error) {
    if (isOver()) return;
    failed(error);
  }
  const last = diskIds.length - 1;
  await channel.send(FRAME_TYPES.diskOffer, endOfOffer(last, maps[last])).catch(() => {});
}

async function offerDisk(
  { machine, channel, isOver }: DiskOfferDeps,
  number: number,
  id: string,
  map: BlockMap,
): Promise<void> {
  const extents = await machine.diskContent(id);
  let offered = 0;
  const offerUpTo = async (block: number) => {
    for (const payload of offerBlocks(number, map, offered, block - offered)) {
      await channel.send(FRAME_TYPES.diskOffer, payload);
    }
    offered = block;
  };
  const ahead: Reading[] = [];
  const readings = readingsOf(
    cutIntoPieces(extents, map.sizeBytes, READ_BYTES),
    map,
    (at, into) => machine.readDisk(id, at, into),
  );
  for (;;) {
    while (ahead.length < READ_AHEAD) {
      const next = readings.next();
      if (next.done) break;
      next.value.done.catch(() => {});
      ahead.push(next.value);
    }
    const reading = ahead.shift();
    if (!reading) break;
    await reading.done;
    if (isOver()) return;
    digest(map, reading);
    const reached = reading.first + reading.count;
    if (reached - offered >= BLOCKS_PER_OFFER) await offerUpTo(reached);
  }
  await offerUpTo(map.blockCount);
}

/** Blocks of which nothing is known, while they are read. */
interface Reading {
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly done: Promise<void>;
}

/** Notes the holes on the way, as they read as zeroes now, whatever was known of them. */
function* readingsOf(
  pieces: Iterable<Piece>,
  map: BlockMap,
  read: (offsetBytes: number, into: Uint8Array) => Promise<void>,
): Generator<Reading> {
  for (const piece of pieces) {
    if (piece.kind === "part") continue;
    const first = piece.offsetBytes / BLOCK_BYTES;
    const count = Math.ceil(piece.lengthBytes / BLOCK_BYTES);
    if (piece.kind === "hole") {
      map.setRange(first, count, BLOCK_ZERO);
      continue;
    }
    for (const run of map.runs(first, count)) {
      if (run.state === BLOCK_KNOWN || run.state === BLOCK_ZERO) continue;
      const end = Math.min(map.sizeBytes, (run.first + run.count) * BLOCK_BYTES);
      const bytes = new Uint8Array(end - run.first * BLOCK_BYTES);
      yield { ...run, bytes, done: read(run.first * BLOCK_BYTES, bytes) };
    }
  }
}

function digest(map: BlockMap, { first, count, bytes }: Reading): void {
  for (let i = 0; i < count; i++) {
    const seen = digestBlock(bytes, i * BLOCK_BYTES, map.bytesOf(first + i));
    if (seen.isZero) map.setRange(first + i, 1, BLOCK_ZERO);
    else map.setDigest(first + i, seen.digest);
  }
}
