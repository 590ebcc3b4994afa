import { COMMAND, ELEMENT } from "../stream/format.ts";

const HEAD_BYTES = 5;
/** Commands of which nothing stays, with the length of what they carry. */
const REPEATABLE: ReadonlyMap<number, number> = new Map([
  [COMMAND.ping, 4],
  // Announces the last pages; QEMU 10.0 asks only devices that load beside the main channel (VFIO
  // with multifd), and those make a stream that is relayed whole anyway.
  [COMMAND.switchoverStart, 0],
]);

/**
 * True for bytes behind the memory's layout that QEMU may meet any number of times, so that another
 * stream may still follow: commands alone (`08, be16 command, be16 length`), and none that lasts.
 */
export function isRepeatable(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    if (bytes[at] !== ELEMENT.command) return false;
    const length = view.getUint16(at + 3);
    if (REPEATABLE.get(view.getUint16(at + 1)) !== length) return false;
    at += HEAD_BYTES + length;
  }
  return at === bytes.length;
}
