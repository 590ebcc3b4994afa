/**
 * Hashes four words to one unsigned 32-bit word: the finaliser of MurmurHash3 (public domain),
 * once per word. Not for secrets; it only has to make the content of different places and versions
 * differ.
 */
export function mix(a: number, b: number, c: number, d: number): number {
  let hash = scramble(0x9e3779b9 ^ a);
  hash = scramble(Math.imul(hash, 5) + b);
  hash = scramble(Math.imul(hash, 5) + c);
  return scramble(Math.imul(hash, 5) + d) >>> 0;
}

function scramble(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}

/** State of a small fast counting generator (sfc32); part of the machine's registers. */
export type PrngState = [number, number, number, number];

/** The generator's first state for any safe integer. */
export function prngFromSeed(seed: number): PrngState {
  const high = Math.floor(seed / 2 ** 32);
  const state: PrngState = [mix(seed, high, 1, 0), mix(seed, high, 2, 0), mix(seed, high, 3, 0), 1];
  for (let i = 0; i < 12; i++) nextWord(state);
  return state;
}

/** Advances `state` and returns an unsigned 32-bit word (sfc32, PractRand's small generator). */
export function nextWord(state: PrngState): number {
  const sum = (state[0] + state[1] + state[3]) >>> 0;
  state[3] = (state[3] + 1) >>> 0;
  state[0] = (state[1] ^ (state[1] >>> 9)) >>> 0;
  state[1] = (state[2] + (state[2] << 3)) >>> 0;
  state[2] = (((state[2] << 21) | (state[2] >>> 11)) + sum) >>> 0;
  return sum;
}

/** A whole number from 0 to `bound` - 1. */
export function nextBelow(state: PrngState, bound: number): number {
  return Math.floor(nextWord(state) / 2 ** 32 * bound);
}

/** True for a share `ratio` of the draws. */
export function nextChance(state: PrngState, ratio: number): boolean {
  return nextWord(state) < ratio * 2 ** 32;
}
