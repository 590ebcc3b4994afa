/**
 * Room for the description that closes a stream; seen: 45 KB to 100 KB (pc and q35 machines). A
 * longer one is not recognised, and the end is then found by silence.
 */
export const TAIL_BYTES_MAX = 4 * 1024 * 1024;

const EOF = 0x00;
const VMDESCRIPTION = 0x06;
const BRACE = 0x7b;

/**
 * Sees the end of a pre-copy stream, which QEMU leaves open until SHUT has come.
 *
 * The end is `00 06, be32 length, length bytes of JSON`, and nothing behind it. Text holds no zero
 * byte, so the last place with `00 06` followed by exactly the announced number of bytes is it.
 */
export class StreamEndDetector {
  #tail = new Uint8Array(0);

  /** @returns true when the stream as far as pushed is complete; `bytes` are not kept */
  push(bytes: Uint8Array): boolean {
    const keep = Math.max(0, Math.min(this.#tail.length, TAIL_BYTES_MAX - bytes.length));
    const added = bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES_MAX));
    const tail = new Uint8Array(keep + added.length);
    tail.set(this.#tail.subarray(this.#tail.length - keep));
    tail.set(added, keep);
    this.#tail = tail;
    return isComplete(tail);
  }
}

function isComplete(tail: Uint8Array): boolean {
  if (tail.at(-1) !== 0x7d) return false;
  // A length below 16 MiB begins with a zero byte, so the mark ends at the last zero byte but two.
  const lastZero = tail.lastIndexOf(EOF);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  for (let at = lastZero; at >= Math.max(0, lastZero - 5); at--) {
    if (tail[at] !== EOF || tail[at + 1] !== VMDESCRIPTION || at + 6 >= tail.length) continue;
    if (view.getUint32(at + 2) === tail.length - (at + 6) && tail[at + 6] === BRACE) return true;
  }
  return false;
}
