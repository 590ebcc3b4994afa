const PING = [0x08, 0x00, 0x02, 0x00, 0x04] as const;

/**
 * Values of the PING commands (`08, be16 2, be16 4, be32 value`) among a stream's commands. Only for
 * bytes before the device state, where nothing else can look like one.
 */
export function pingsIn(bytes: Uint8Array): number[] {
  const values: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = bytes.indexOf(PING[0]); at >= 0; at = bytes.indexOf(PING[0], at + 1)) {
    if (at + 9 <= bytes.length && PING.every((byte, index) => bytes[at + index] === byte)) {
      values.push(view.getUint32(at + 5));
    }
  }
  return values;
}
