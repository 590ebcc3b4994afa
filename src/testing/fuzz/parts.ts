import type { Dice } from "./dice.ts";

/**
 * An input of several messages as one: `u24 length, bytes` for each, big-endian. Whatever bytes there
 * are, they can be read: a length is cut at the end.
 */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 3 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set([part.length >>> 16, part.length >>> 8, part.length], at);
    bytes.set(part, at + 3);
    at += 3 + part.length;
  }
  return bytes;
}

/** Bytes behind one that says what they are. */
export function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const joined = new Uint8Array(1 + bytes.length);
  joined[0] = tag;
  joined.set(bytes, 1);
  return joined;
}

/** Undoes `joinParts`; views. */
export function splitParts(bytes: Uint8Array, partsMax = 256): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at + 3 <= bytes.length && parts.length < partsMax;) {
    const length = bytes[at] << 16 | bytes[at + 1] << 8 | bytes[at + 2];
    parts.push(bytes.subarray(at + 3, at + 3 + length));
    at += 3 + length;
  }
  return parts;
}

/** No sequence grows beyond this by mutation. */
const PARTS_MAX = 48;

/**
 * Changes a sequence of messages: one of them, their order, their number.
 *
 * @param change another form of one message
 * @param fresh a message of its own
 */
export function mutateParts(
  input: Uint8Array,
  dice: Dice,
  change: (part: Uint8Array) => Uint8Array,
  fresh: () => Uint8Array,
): Uint8Array {
  const parts = splitParts(input, PARTS_MAX);
  const at = dice.below(parts.length + 1);
  const kind = parts.length === 0 ? 0 : dice.below(9);
  if (kind === 0) parts.splice(at, 0, fresh());
  else if (kind === 1) parts.splice(at, 1);
  else if (kind === 2) parts.splice(at, 0, dice.pick(parts));
  else if (kind === 3) parts.length = Math.max(1, at);
  else {
    const one = dice.below(parts.length);
    if (kind === 4) [parts[0], parts[one]] = [parts[one], parts[0]];
    else parts[one] = change(parts[one]);
  }
  return joinParts(parts);
}

/**
 * Cuts a stream as a socket might: `way` 0 not at all, 1 into single bytes (long streams by 64), else
 * into pieces of lengths that it decides. Each piece is a copy, spoilt once the next one is asked for:
 * readers may not keep views of it.
 */
export function* chunksOf(bytes: Uint8Array, way: number): Generator<Uint8Array> {
  let state = way >>> 0;
  for (let at = 0; at < bytes.length;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const most = 1 << (2 + (way >>> 4) % 12);
    const wanted = way === 0
      ? bytes.length
      : way === 1
      ? (bytes.length > 8192 ? 64 : 1)
      : 1 + (state >>> 8) % most;
    const chunk = bytes.slice(at, at + wanted);
    at += chunk.length;
    yield chunk;
    chunk.fill(0xa5);
  }
}
