/**
 * What a destination offers of its store, payload of `storeOffer` frames: hints (the first 48 bits of
 * names) of contents that the source may name instead of sending them.
 *
 * ```
 * u8 version 1, u8 1 in the last frame of an offer, u16 0, u32 count (big-endian),
 * varint distance of each hint from the one before; the first from 0
 * ```
 *
 * Ascending, about 5 bytes for each of 100 000 hints, where the bare ones would take 6.
 */
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";

/** Hints of one frame: its payload stays below 1 MiB. */
export const OFFER_FRAME_HINTS_MAX = 65_536;
/** Hints of one offer that a source takes; they are 8 MiB of its memory. */
export const OFFER_HINTS_MAX = 1_048_576;

const HEADER_BYTES = 8;
const HINT_END = 2 ** 48;

/**
 * The frames of one offer, at least one.
 *
 * @param hints ascending, none twice
 */
export function* encodeStoreOffer(hints: Float64Array): Generator<Uint8Array> {
  let first = 0;
  do {
    const part = hints.subarray(first, first + OFFER_FRAME_HINTS_MAX);
    first += part.length;
    const sink = new ByteSink(HEADER_BYTES + 6 * part.length);
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    header.setUint8(0, 1);
    header.setUint8(1, first >= hints.length ? 1 : 0);
    header.setUint32(4, part.length);
    sink.raw(new Uint8Array(header.buffer));
    let last = 0;
    for (const hint of part) {
      sink.varint(hint - last);
      last = hint;
    }
    yield sink.view().slice();
  } while (first < hints.length);
}

/**
 * Undoes one frame of `encodeStoreOffer`.
 *
 * @throws {GatewayError} `batch_invalid`; nothing is allocated from an unchecked count
 */
export function decodeStoreOffer(payload: Uint8Array): { hints: Float64Array; isLast: boolean } {
  if (payload.byteLength < HEADER_BYTES) throw batchInvalid("an offer ends inside its header");
  const header = new DataView(payload.buffer, payload.byteOffset, HEADER_BYTES);
  const [version, last, reserved] = [header.getUint8(0), header.getUint8(1), header.getUint16(2)];
  if (version !== 1 || last > 1 || reserved !== 0) throw batchInvalid("an offer of another form");
  const count = header.getUint32(4);
  const source = new ByteSource(payload.subarray(HEADER_BYTES));
  if (count > OFFER_FRAME_HINTS_MAX || count > source.remaining) {
    throw batchInvalid(`an offer of ${count} hints in ${source.remaining} bytes`);
  }
  const hints = new Float64Array(count);
  let hint = 0;
  for (let i = 0; i < count; i++) {
    const distance = source.varint();
    hint += distance;
    if (hint >= HINT_END || (i > 0 && distance === 0)) throw batchInvalid("hints out of order");
    hints[i] = hint;
  }
  source.end();
  return { hints, isLast: last === 1 };
}
