import { BLOCK_BYTES, digestBlock } from "../../image/block_digest.ts";
import { BLOCK_KNOWN, BLOCK_UNKNOWN, type BlockMap } from "../../image/block_map.ts";
import type { ImageRecordFiles } from "../../gateway/image_records.ts";
import type { ImageFile, TrackedImage } from "../../migration/ports.ts";
import type { SimImage } from "./image.ts";
import type { SimProcess } from "./process.ts";

/** What of a host's storage tells what its images hold. */
export interface StoredRecord {
  readonly version: number;
  readonly map: BlockMap;
}

const LOOK_MS = 5;
/** From a look at the image to its record on storage: an identity has to have settled. */
const WRITE_MS = 60;

/**
 * The records of one host's images as one gateway process keeps them; see `src/gateway/`.
 *
 * @param wrong hears of a record that says what is not so
 */
export function simulatedRecords(
  images: ReadonlyMap<string, SimImage>,
  stored: Map<string, StoredRecord>,
  process: SimProcess,
  isOpen: (image: SimImage) => boolean,
  wrong: (detail: string) => void,
): Pick<ImageRecordFiles, "track" | "has" | "forget" | "idle"> {
  const take = async (image: SimImage): Promise<BlockMap | null> => {
    await process.pause(LOOK_MS);
    const record = stored.get(image.path);
    if (process.isOver || record === undefined) return null;
    // Durably gone before anybody writes the image.
    stored.delete(image.path);
    await process.pause(LOOK_MS);
    return record.version === image.version ? record.map : null;
  };
  const keep = async (image: SimImage, map: BlockMap): Promise<void> => {
    await process.pause(LOOK_MS);
    const { version } = image;
    process.later(WRITE_MS, () => {
      if (image.version !== version) return;
      const block = firstWrong(image, map);
      if (block !== null) wrong(`${image.path} does not hold what is recorded of block ${block}`);
      stored.set(image.path, { version, map });
    });
  };
  return {
    async track({ path }: ImageFile): Promise<TrackedImage | null> {
      await process.pause(LOOK_MS);
      const image = images.get(path);
      if (image === undefined || !isOpen(image)) return null;
      return { take: () => take(image), keep: (map) => keep(image, map) };
    },
    async has(path: string): Promise<boolean> {
      await process.pause(LOOK_MS);
      return stored.has(path);
    },
    async forget(path: string): Promise<void> {
      await process.pause(LOOK_MS);
      stored.delete(path);
    },
    idle: () => Promise.resolve(),
  };
}

function firstWrong({ content }: SimImage, map: BlockMap): number | null {
  for (let block = 0; block < map.blockCount; block++) {
    const state = map.stateOf(block);
    if (state === BLOCK_UNKNOWN) continue;
    const seen = digestBlock(content, block * BLOCK_BYTES, map.bytesOf(block));
    const isRight = state === BLOCK_KNOWN ? map.hasDigest(block, seen.digest) : seen.isZero;
    if (!isRight) return block;
  }
  return null;
}
