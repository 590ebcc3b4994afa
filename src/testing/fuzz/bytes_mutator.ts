import type { Dice } from "./dice.ts";

/** No input grows beyond this by mutation: what is longer is the business of generators. */
export const INPUT_BYTES_MAX = 256 * 1024;

/**
 * Another form of some bytes, by one to four small changes that parsers are known to trip over.
 *
 * @param others inputs that parts are taken from
 * @param words bytes that mean something to the parser
 */
export function mutateBytes(
  input: Uint8Array,
  dice: Dice,
  others: readonly Uint8Array[] = [],
  words: readonly Uint8Array[] = [],
): Uint8Array {
  let bytes = input;
  for (let times = dice.between(1, 4); times > 0; times--) {
    bytes = changed(bytes, dice, others, words);
    if (bytes.length > INPUT_BYTES_MAX) bytes = bytes.subarray(0, INPUT_BYTES_MAX);
  }
  return bytes;
}

function changed(
  bytes: Uint8Array,
  dice: Dice,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
): Uint8Array {
  const at = dice.below(bytes.length + 1);
  const length = dice.size(Math.max(1, bytes.length - at)) + 1;
  switch (bytes.length === 0 ? 0 : dice.below(11)) {
    case 0:
      return spliced(bytes, at, 0, dice.bytes(dice.size(64) + 1));
    case 1:
      return spliced(bytes, at, length, NOTHING);
    case 2:
      return spliced(bytes, at, 0, bytes.subarray(at, at + length));
    case 3:
      return bytes.subarray(0, at);
    case 4: {
      const other = others.length > 0 ? dice.pick(others) : bytes;
      const from = dice.below(other.length + 1);
      const part = other.subarray(from, from + dice.size(4096) + 1);
      return spliced(bytes, at, dice.chance(0.5) ? part.length : 0, part);
    }
    case 5:
      if (words.length === 0) return flipped(bytes, dice);
      return spliced(bytes, at, dice.chance(0.5) ? 0 : length, dice.pick(words));
    case 6:
    case 7:
      return withNumber(bytes, at, dice);
    case 8: {
      const copy = bytes.slice();
      copy[dice.below(copy.length)] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.below(256)]);
      return copy;
    }
    case 9: {
      // One more or one less, as counts and lengths have it.
      const copy = bytes.slice();
      copy[dice.below(copy.length)] += dice.pick([1, -1, 8, -8]);
      return copy;
    }
    default:
      return flipped(bytes, dice);
  }
}

const NOTHING = new Uint8Array(0);

/** A number over what is there, in a size and an order that length fields have. */
function withNumber(bytes: Uint8Array, at: number, dice: Dice): Uint8Array {
  const value = dice.number();
  const kind = dice.below(6);
  if (kind === 5) return spliced(bytes, at, dice.between(0, 3), leb128(value));
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const lengthBytes = [1, 2, 4, 4, 8][kind];
  const place = Math.min(at, copy.length - lengthBytes);
  if (place < 0) return copy;
  if (lengthBytes === 8) view.setBigUint64(place, BigInt(value));
  else if (kind === 3) view.setUint32(place, value, true);
  else if (lengthBytes === 4) view.setUint32(place, value);
  else if (lengthBytes === 2) view.setUint16(place, value);
  else view.setUint8(place, value);
  return copy;
}

function flipped(bytes: Uint8Array, dice: Dice): Uint8Array {
  const copy = bytes.slice();
  copy[dice.below(copy.length)] ^= 1 << dice.below(8);
  return copy;
}

/** A number as the codec's varints have it. */
export function leb128(value: number): Uint8Array {
  const bytes: number[] = [];
  while (value >= 0x80) {
    bytes.push(0x80 | value % 0x80);
    value = Math.floor(value / 0x80);
  }
  return Uint8Array.from([...bytes, value]);
}

/** `bytes` with `removed` of them at `at` replaced. */
export function spliced(
  bytes: Uint8Array,
  at: number,
  removed: number,
  inserted: Uint8Array,
): Uint8Array {
  const rest = bytes.subarray(Math.min(bytes.length, at + removed));
  const result = new Uint8Array(at + inserted.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(inserted, at);
  result.set(rest, at + inserted.length);
  return result;
}
