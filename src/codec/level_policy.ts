/** What limits the move at this moment: with the CPU as the limit, packing less is faster. */
export type Bottleneck = "link" | "cpu";

/** First copies on links up to some 500 Mbit/s: 6 gains 5 % for three times the work. */
export const LEVEL_STRONG = 3;
/** 1.5 times as fast; behind deltas a higher level gains nothing. */
export const LEVEL_FAST = 1;

/** Encrypted and compressed contents have nearly 8 bits of order 0; text 5, code 6 to 6.5. */
const RANDOM_ENTROPY_BITS = 7.85;
/** Setting zstd up costs as much as packing several KiB, and so little is left of it to gain. */
const PACKED_BYTES_MIN = 512;
/** Bytes looked at; fewer make random contents look less random. */
const SAMPLE_BYTES = 8192;

/**
 * zstd level of a batch; null for raw.
 *
 * @param contents of the batch: pages, and the words of deltas
 * @param bodyBytes of contents and description
 * @param deltaShare part of the batch's pages that travel as deltas, 0 to 1
 */
export function chooseLevel(
  { contents, bodyBytes, deltaShare, bottleneck }: {
    readonly contents: Uint8Array;
    readonly bodyBytes: number;
    readonly deltaShare: number;
    readonly bottleneck: Bottleneck;
  },
): number | null {
  if (bodyBytes < PACKED_BYTES_MIN) return null;
  if (contents.byteLength >= SAMPLE_BYTES && entropyBits(contents) > RANDOM_ENTROPY_BITS) {
    return null;
  }
  return bottleneck === "cpu" || deltaShare > 0.5 ? LEVEL_FAST : LEVEL_STRONG;
}

/** Bits for each byte by the frequency of bytes alone, from a sample over all of `contents`. */
export function entropyBits(contents: Uint8Array): number {
  const counts = new Uint32Array(256);
  // An odd step, so that it does not fall on the same place of each word.
  const step = Math.max(1, Math.floor(contents.byteLength / SAMPLE_BYTES) | 1);
  let sampled = 0;
  for (let at = 0; at < contents.byteLength; at += step, sampled++) counts[contents[at]]++;
  let bits = 0;
  for (const count of counts) {
    if (count > 0) bits -= count / sampled * Math.log2(count / sampled);
  }
  return bits;
}
