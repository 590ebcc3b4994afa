import { GatewayError } from "../core/errors.ts";

const BYTES = 4;

/**
 * Payload of `memoryReset`: u32, big-endian, the last repair whose pages the new stream brings; 0 when
 * none was asked for.
 */
export function encodeReset(repair: number): Uint8Array {
  const payload = new Uint8Array(BYTES);
  new DataView(payload.buffer).setUint32(0, repair);
  return payload;
}

/** @throws {GatewayError} `frame_invalid` */
export function decodeReset(payload: Uint8Array): number {
  if (payload.byteLength !== BYTES) {
    throw new GatewayError(
      "frame_invalid",
      `Cannot begin a memory stream: its reset has ${payload.byteLength} bytes, not ${BYTES}`,
      { hint: "Check that both gateways run the same version" },
    );
  }
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}
