import type { DiskDescription } from "../guest/guest.ts";
import type { BlockMap } from "../image/block_map.ts";
import type { ImageRecords, TrackedImage } from "./ports.ts";

/** One disk of a move whose image can be known again, and what it holds. */
export interface HeldImage {
  readonly number: number;
  readonly image: TrackedImage;
  readonly map: BlockMap;
}

/**
 * The images of a machine that has them open, as far as they are files that can be known again.
 *
 * @param disks of this site's machine; null where it has no counterpart of that number
 * @param maps what each holds, by the same numbers; none for a disk that is too large
 */
export async function trackImages(
  records: ImageRecords,
  disks: readonly (DiskDescription | null)[],
  maps: readonly (BlockMap | null)[],
): Promise<HeldImage[]> {
  const held = await Promise.all(disks.map(async (disk, number) => {
    const map = maps[number] ?? null;
    if (disk === null || disk.path === null || map === null) return [];
    const { path, format, sizeBytes } = disk;
    const image = await records.track({ path, format, sizeBytes });
    return image === null ? [] : [{ number, image, map }];
  }));
  return held.flat();
}
