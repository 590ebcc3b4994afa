import type { Extent } from "../../core/extents.ts";

/** The body of an answer to `roundBegin` or `diskContent`; `protocol.ts` has its layout. */
export function encodeExtents(disks: readonly (readonly Extent[])[]): Uint8Array {
  const length = disks.reduce((sum, extents) => sum + 8 + 24 * extents.length, 0);
  const view = new DataView(new ArrayBuffer(length));
  let at = 0;
  for (const extents of disks) {
    view.setUint32(at, extents.length, true);
    at += 8;
    for (const { offsetBytes, lengthBytes, kind } of extents) {
      view.setFloat64(at, offsetBytes, true);
      view.setFloat64(at + 8, lengthBytes, true);
      view.setFloat64(at + 16, kind === "data" ? 1 : 0, true);
      at += 24;
    }
  }
  return new Uint8Array(view.buffer);
}

/** Reads the body of an answer to `roundBegin` or `diskContent`. */
export function decodeExtents(body: Uint8Array): Extent[][] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const disks: Extent[][] = [];
  for (let at = 0; at < body.length;) {
    const count = view.getUint32(at, true);
    at += 8;
    const extents: Extent[] = [];
    for (let extent = 0; extent < count; extent++, at += 24) {
      extents.push({
        offsetBytes: view.getFloat64(at, true),
        lengthBytes: view.getFloat64(at + 8, true),
        kind: view.getFloat64(at + 16, true) === 1 ? "data" : "zero",
      });
    }
    disks.push(extents);
  }
  return disks;
}
