import { GatewayError } from "../../core/errors.ts";
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

const HEAD_BYTES = 8;
const EXTENT_BYTES = 24;

/**
 * Reads the body of an answer to `roundBegin` or `diskContent`.
 *
 * @throws {GatewayError} `frame_invalid`
 */
export function decodeExtents(body: Uint8Array): Extent[][] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const disks: Extent[][] = [];
  for (let at = 0; at < body.length;) {
    if (at + HEAD_BYTES > body.length) throw invalidExtents("it ends inside a disk");
    const count = view.getUint32(at, true);
    at += HEAD_BYTES;
    if (at + count * EXTENT_BYTES > body.length) throw invalidExtents(`${count} extents`);
    const extents: Extent[] = [];
    for (let extent = 0; extent < count; extent++, at += EXTENT_BYTES) {
      const offsetBytes = view.getFloat64(at, true);
      const lengthBytes = view.getFloat64(at + 8, true);
      const isRange = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0 && lengthBytes > 0 &&
        Number.isSafeInteger(offsetBytes + lengthBytes);
      if (!isRange) throw invalidExtents(`${lengthBytes} bytes at ${offsetBytes}`);
      const kind = view.getFloat64(at + 16, true) === 1 ? "data" : "zero";
      extents.push({ offsetBytes, lengthBytes, kind });
    }
    disks.push(extents);
  }
  return disks;
}

/** The answer to `diskRead`. @throws {GatewayError} `frame_invalid` for more or less than was asked */
export function copyWhole(body: Uint8Array, into: Uint8Array): void {
  if (body.length === into.length) return into.set(body);
  throw new GatewayError(
    "frame_invalid",
    `Cannot read the machine's disk: it gives ${body.length} bytes for ${into.length}`,
    { hint: "Check that gateway and machine are of the same version" },
  );
}

function invalidExtents(what: string): GatewayError {
  return new GatewayError("frame_invalid", `Cannot read the machine's list of extents: ${what}`, {
    hint: "Check that gateway and machine are of the same version",
  });
}
