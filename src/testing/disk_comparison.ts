import { Buffer } from "node:buffer";

/** How two images of one moved disk compare, by blocks of the workload. */
export interface DiskComparison {
  readonly blocks: number;
  readonly equalBlocks: number;
  /** Written again at the destination after the switch, as their own headers say. */
  readonly newerBlocks: number;
  /** Neither equal nor newer: lost or damaged. Numbers of the first ones. */
  readonly wrongBlocks: readonly number[];
}

const WRONG_BLOCKS_TOLD = 20;

/**
 * Compares the image that the source left behind with the one that the machine went on with.
 *
 * Each block that the workload writes begins with a line that holds its sequence number. A block may
 * differ only where the destination's has a later number than the last one that the machine reported
 * as flushed at the source; with `lastSequence` null no block may differ.
 */
export async function compareDisks(
  sourcePath: string,
  destinationPath: string,
  blockBytes: number,
  lastSequence: number | null,
): Promise<DiskComparison> {
  using source = await Deno.open(sourcePath);
  using destination = await Deno.open(destinationPath);
  const { size } = await source.stat();
  if ((await destination.stat()).size !== size) throw new Error("The images differ in size");
  const [left, right] = [new Uint8Array(blockBytes), new Uint8Array(blockBytes)];
  const blocks = Math.ceil(size / blockBytes);
  let equalBlocks = 0;
  let newerBlocks = 0;
  const wrongBlocks: number[] = [];
  for (let block = 0; block < blocks; block++) {
    const lengthBytes = Math.min(blockBytes, size - block * blockBytes);
    await readExactly(source, left.subarray(0, lengthBytes));
    await readExactly(destination, right.subarray(0, lengthBytes));
    if (Buffer.compare(left.subarray(0, lengthBytes), right.subarray(0, lengthBytes)) === 0) {
      equalBlocks++;
    } else if (lastSequence !== null && (sequenceOf(right, block) ?? -1) > lastSequence) {
      newerBlocks++;
    } else if (wrongBlocks.length < WRONG_BLOCKS_TOLD) wrongBlocks.push(block);
  }
  return { blocks, equalBlocks, newerBlocks, wrongBlocks };
}

/** The sequence number in a block's header line, or null where it has none for this block. */
export function sequenceOf(bytes: Uint8Array, block: number): number | null {
  const line = new TextDecoder().decode(bytes.subarray(0, 64));
  const found = /^cw disk=\S+ block=(\d+) sequence=(\d+) *\n/.exec(line);
  return found && Number(found[1]) === block ? Number(found[2]) : null;
}

/**
 * Sequence numbers that the machine reported as flushed, over both sites' consoles in a row.
 *
 * @returns the last one before the switch, the last one at all, and those that are missing
 */
export function syncedSequences(
  sourceConsole: string,
  destinationConsole: string,
): { atSwitch: number; last: number; missing: number[] } {
  const numbers = (text: string) =>
    [...text.matchAll(/synced \S+ (\d+)(?=\r?\n)/g)].map((found) => Number(found[1]));
  const atSwitch = numbers(sourceConsole).at(-1) ?? 0;
  // Joined: the switch may fall into the middle of a line.
  const all = new Set(numbers(sourceConsole + destinationConsole));
  const last = Math.max(0, ...all);
  const missing: number[] = [];
  for (let number = 1; number <= last; number++) if (!all.has(number)) missing.push(number);
  return { atSwitch, last, missing };
}

async function readExactly(file: Deno.FsFile, into: Uint8Array): Promise<void> {
  for (let at = 0; at < into.length;) {
    const count = await file.read(into.subarray(at));
    if (count === null) throw new Error("The image ended early");
    at += count;
  }
}
