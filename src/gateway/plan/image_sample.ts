import { ContentEstimate } from "../../guest/content_estimate.ts";
import type { DiskDescription } from "../../guest/guest.ts";
import { identityOf, isOpenHere } from "../image_file.ts";
import type { ImageContent } from "./machine_estimate.ts";

const CHUNK_BYTES = 64 * 1024;
/** Parts of the image that are not zero make the ratio: 4 MiB, or what so many looks find. */
const LOOKS_MAX = 2048;
const FILLED_BYTES = 4 * 1024 * 1024;
/** With less found, or not all looked at, what the image holds is only guessed. */
const FILLED_BYTES_MIN = 1024 * 1024;
/** A prime, so that its multiples meet every part. */
const SPREAD = 1_000_003;

/**
 * What a sample of each disk's image takes on the wire, by disk id. An image that is no file of this
 * host, or cannot be read, is left out. Only read: the file of a running machine may change below.
 *
 * @param random a number from 0 to below 1
 */
export async function sampleImages(
  disks: readonly DiskDescription[],
  random: () => number,
  signal: AbortSignal,
): Promise<Map<string, ImageContent>> {
  const found = new Map<string, ImageContent>();
  for (const disk of disks) {
    const content = await sampleImage(disk, random, signal).catch(() => null);
    signal.throwIfAborted();
    if (content !== null) found.set(disk.id, content);
  }
  return found;
}

async function sampleImage(
  { path, format }: DiskDescription,
  random: () => number,
  signal: AbortSignal,
): Promise<ImageContent | null> {
  if (path === null || !path.startsWith("/")) return null;
  const identity = await identityOf(path);
  if (identity === null || !await isOpenHere(path, identity)) return null;
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const content = new ContentEstimate();
  const chunk = new Uint8Array(CHUNK_BYTES);
  const chunkCount = Math.floor(size / CHUNK_BYTES);
  const looks = Math.min(LOOKS_MAX, chunkCount);
  let looked = 0;
  const filledBytes = () => looked * CHUNK_BYTES * (1 - (content.zeroShare ?? 1));
  for (let part = 0; part < looks && filledBytes() < FILLED_BYTES; part++) {
    signal.throwIfAborted();
    // Parts in an order that is spread over the file, should the looks end early.
    const from = Math.floor(((part * SPREAD) % looks) * chunkCount / looks);
    const at = from + Math.floor(random() * Math.max(1, chunkCount / looks));
    await file.seek(Math.min(at, chunkCount - 1) * CHUNK_BYTES, Deno.SeekMode.Start);
    const bytes = await file.read(chunk);
    if (bytes !== CHUNK_BYTES) continue;
    looked++;
    content.add(chunk);
  }
  const { zeroShare, wireRatio } = content;
  const isAll = looked === chunkCount;
  if (looked === 0 || zeroShare === null || (wireRatio === null && !isAll)) return null;
  // The file of another format has another order than the disk, and may lack what is in others.
  const isKnown = format === "raw" && (isAll || filledBytes() >= FILLED_BYTES_MIN);
  return { filledBytes: isKnown ? size * (1 - zeroShare) : null, wireRatio: wireRatio ?? 0 };
}
