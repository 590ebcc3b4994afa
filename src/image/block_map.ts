import { ChunkedU32 } from "./chunked.ts";
import { BLOCK_BYTES } from "./block_digest.ts";
import { DIGEST_WORDS } from "./page_digest.ts";

/** Nobody has looked at the block since it was written last, or ever. */
export const BLOCK_UNKNOWN = 0;
/** It is all zeroes. */
export const BLOCK_ZERO = 1;
/** Its digest is known. */
export const BLOCK_KNOWN = 2;
export type BlockState = typeof BLOCK_UNKNOWN | typeof BLOCK_ZERO | typeof BLOCK_KNOWN;

/** Neighbouring blocks of one state. */
export interface BlockRun {
  readonly first: number;
  readonly count: number;
  readonly state: BlockState;
}

/** Blocks of one piece of the states: 1 GiB of the disk. */
const CHUNK_BLOCKS = 16_384;
/** 256 TiB: the chunks of the digests count in 32 bits. */
const BLOCKS_MAX = 2 ** 32;

/** A map of a disk of which nothing is known; null for one of more than 256 TiB, which gets none. */
export function mapOf(sizeBytes: number): BlockMap | null {
  return sizeBytes <= BLOCKS_MAX * BLOCK_BYTES ? new BlockMap(sizeBytes) : null;
}

/**
 * What a disk holds, as far as it is known: a state for each block of 64 KiB, and a digest of 128
 * bits where the content is neither unknown nor zero.
 *
 * Costs 17 bytes for each block with a digest, 272 MiB for a TiB; parts of 1 GiB that are all of one
 * state without digests cost nothing.
 */
export class BlockMap {
  readonly blockCount: number;
  /** By chunk: one state for all of its blocks, or one for each; absent is unknown. */
  readonly #states: (BlockState | Uint8Array | undefined)[] = [];
  readonly #digests = new ChunkedU32(DIGEST_WORDS);

  /** @throws {RangeError} for a disk that no map can hold: see `mapOf` */
  constructor(readonly sizeBytes: number) {
    this.blockCount = Math.ceil(sizeBytes / BLOCK_BYTES);
    if (!(this.blockCount >= 0 && this.blockCount <= BLOCKS_MAX)) {
      throw new RangeError(`A block map holds ${BLOCKS_MAX} blocks, not ${this.blockCount}`);
    }
  }

  /** Bytes of a block: all have the same but the last one. */
  bytesOf(block: number): number {
    return Math.min(BLOCK_BYTES, this.sizeBytes - block * BLOCK_BYTES);
  }

  stateOf(block: number): BlockState {
    const states = this.#states[Math.floor(block / CHUNK_BLOCKS)] ?? BLOCK_UNKNOWN;
    return typeof states === "number" ? states : states[block % CHUNK_BLOCKS] as BlockState;
  }

  /** Nothing is known of these blocks any more, or all are zero. */
  setRange(first: number, count: number, state: typeof BLOCK_UNKNOWN | typeof BLOCK_ZERO): void {
    this.#check(first, count);
    for (let block = first; block < first + count;) {
      const chunk = Math.floor(block / CHUNK_BLOCKS);
      const from = block - chunk * CHUNK_BLOCKS;
      const size = Math.min(CHUNK_BLOCKS, this.blockCount - chunk * CHUNK_BLOCKS);
      const part = Math.min(size - from, first + count - block);
      if (part === size) this.#states[chunk] = state;
      else this.#statesOf(chunk).fill(state, from, from + part);
      block += part;
    }
  }

  /** @param digest four words from `at` on; copied */
  setDigest(block: number, digest: Uint32Array, at = 0): void {
    this.#check(block, 1);
    this.#statesOf(Math.floor(block / CHUNK_BLOCKS))[block % CHUNK_BLOCKS] = BLOCK_KNOWN;
    const into = this.#digests.chunkFor(block);
    const start = this.#digests.offsetOf(block);
    for (let word = 0; word < DIGEST_WORDS; word++) into[start + word] = digest[at + word];
  }

  /** True where the digest of the block is known and this one. */
  hasDigest(block: number, digest: Uint32Array): boolean {
    if (this.stateOf(block) !== BLOCK_KNOWN) return false;
    for (let word = 0; word < DIGEST_WORDS; word++) {
      if (this.digestWord(block, word) !== digest[word]) return false;
    }
    return true;
  }

  /** One of the four words of a known digest. */
  digestWord(block: number, word: number): number {
    return this.#digests.get(block, word);
  }

  /** Blocks from `first` on, `count` of them, as runs of one state. */
  *runs(first = 0, count = this.blockCount - first): Generator<BlockRun> {
    const end = first + count;
    for (let block = first; block < end;) {
      const state = this.stateOf(block);
      let next = block;
      do next = this.#sameUntil(next, state); while (next < end && this.stateOf(next) === state);
      next = Math.min(next, end);
      yield { first: block, count: next - block, state };
      block = next;
    }
  }

  /** The end of the blocks from `block` on that have its state, looked for in its chunk only. */
  #sameUntil(block: number, state: BlockState): number {
    const chunk = Math.floor(block / CHUNK_BLOCKS);
    const end = Math.min((chunk + 1) * CHUNK_BLOCKS, this.blockCount);
    const states = this.#states[chunk];
    if (!(states instanceof Uint8Array)) return end;
    let at = block + 1;
    while (at < end && states[at % CHUNK_BLOCKS] === state) at++;
    return at;
  }

  #statesOf(chunk: number): Uint8Array {
    const states = this.#states[chunk];
    if (states instanceof Uint8Array) return states;
    return this.#states[chunk] = new Uint8Array(CHUNK_BLOCKS).fill(states ?? BLOCK_UNKNOWN);
  }

  #check(first: number, count: number): void {
    if (first >= 0 && count >= 0 && first + count <= this.blockCount) return;
    throw new RangeError(`No blocks ${first} + ${count} in a map of ${this.blockCount}`);
  }
}
