import { batchInvalid } from "../codec/bytes.ts";
import { DiskOfferReader, endOfOffer, offerBlocks } from "../codec/disk_offer.ts";
import type { BlockMap } from "../image/block_map.ts";
import { DIGEST_WORDS, digestPage } from "../image/page_digest.ts";
import { syncPath } from "./image_file.ts";

/**
 * A file with a title and what a disk holds, in parts: u32 length (big-endian), the first 128 bits
 * of the part's SHA-256, the part. The first is the title, the others are payloads of an offer of
 * one disk (`src/codec/disk_offer.ts`), the last of which says so.
 */
const PART_BYTES_MAX = 1024 * 1024;
const HEAD_BYTES = 4 + 4 * DIGEST_WORDS;
const OWN_USER_MODE = 0o600;

/** Writes the file whole and durable, or not at all. `folder` exists. */
export async function writeRecord(
  folder: string,
  name: string,
  title: string,
  map: BlockMap,
): Promise<void> {
  const next = `${folder}/${name}.tmp`;
  try {
    {
      using file = await Deno.open(next, {
        write: true,
        create: true,
        truncate: true,
        mode: OWN_USER_MODE,
      });
      await writePart(file, new TextEncoder().encode(title));
      for (const payload of offerBlocks(0, map)) await writePart(file, payload);
      await writePart(file, endOfOffer(0, map));
      await file.sync();
    }
    await Deno.rename(next, `${folder}/${name}`);
    await syncPath(folder);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
}

/**
 * Reads a file into `map`, of which nothing is known yet.
 *
 * @returns "other" when its title is not `title`, "none" when there is no file
 * @throws {GatewayError} `batch_invalid` for a file that is damaged; `map` is worth nothing then
 */
export async function readRecord(
  path: string,
  title: string,
  map: BlockMap,
): Promise<"read" | "other" | "none"> {
  let opened: Deno.FsFile;
  try {
    opened = await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "none";
    throw error;
  }
  using file = opened;
  if (new TextDecoder().decode(await readPart(file)) !== title) return "other";
  const reader = new DiskOfferReader([map]);
  while (!reader.complete) reader.read(await readPart(file));
  return "read";
}

async function writePart(file: Deno.FsFile, part: Uint8Array): Promise<void> {
  const bytes = new Uint8Array(HEAD_BYTES + part.byteLength);
  bytes.set(headOf(part));
  bytes.set(part, HEAD_BYTES);
  for (let done = 0; done < bytes.byteLength;) done += await file.write(bytes.subarray(done));
}

async function readPart(file: Deno.FsFile): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  await fill(file, head);
  const partBytes = new DataView(head.buffer).getUint32(0);
  if (partBytes > PART_BYTES_MAX) throw batchInvalid(`a part of ${partBytes} bytes`);
  const part = new Uint8Array(partBytes);
  await fill(file, part);
  if (headOf(part).some((byte, at) => byte !== head[at])) throw batchInvalid("a part is damaged");
  return part;
}

function headOf(part: Uint8Array): Uint8Array {
  const words = new Uint32Array(DIGEST_WORDS);
  digestPage(part, words);
  const view = new DataView(new ArrayBuffer(HEAD_BYTES));
  view.setUint32(0, part.byteLength);
  words.forEach((word, at) => view.setUint32(4 + 4 * at, word));
  return new Uint8Array(view.buffer);
}

async function fill(file: Deno.FsFile, into: Uint8Array): Promise<void> {
  for (let done = 0; done < into.byteLength;) {
    const got = await file.read(into.subarray(done));
    if (got === null) throw batchInvalid("it ends inside a part");
    done += got;
  }
}
