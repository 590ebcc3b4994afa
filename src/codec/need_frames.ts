/**
 * What a destination asks for when a name means nothing to it, on the `pageRequest` channel: NEED,
 * and the answer with whole contents.
 *
 * ```
 * pageRequest    u8 version 1, u8 channel (3 memory, 4 disk), u16 0, u32 number, then names of 32 bytes
 * pageResponse   a batch (envelope.ts): contents of 4 KiB in the order of the names,
 *                description: varint number, varint count
 * ```
 *
 * Numbers count from 1; one NEED is answered before the next of its channel is asked.
 */
import { getName, NAME_BYTES, nameBuffer, putName, UNIT_BYTES } from "../image/content_name.ts";
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";
import { open, seal, ZSTD_LEVEL } from "./envelope.ts";

/** Names of one NEED: 512 KiB of contents, which fit one frame uncompressed. */
export const NEED_NAMES_MAX = 128;

/** Channels whose batches name contents. */
export type NamingChannel = "memory" | "disk";

const CHANNEL_NUMBERS: Record<NamingChannel, number> = { memory: 3, disk: 4 };
const HEADER_BYTES = 8;

export interface Need {
  readonly channel: NamingChannel;
  readonly number: number;
  readonly names: readonly Uint32Array[];
}

/** Payload of a NEED. @param need 1 to `NEED_NAMES_MAX` names */
export function encodeNeed({ channel, number, names }: Need): Uint8Array {
  const payload = new Uint8Array(HEADER_BYTES + names.length * NAME_BYTES);
  const header = new DataView(payload.buffer);
  header.setUint8(0, 1);
  header.setUint8(1, CHANNEL_NUMBERS[channel]);
  header.setUint32(4, number);
  names.forEach((name, i) => putName(name, payload, HEADER_BYTES + i * NAME_BYTES));
  return payload;
}

/** Undoes `encodeNeed`. @throws {GatewayError} `batch_invalid` */
export function decodeNeed(payload: Uint8Array): Need {
  const count = (payload.byteLength - HEADER_BYTES) / NAME_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > NEED_NAMES_MAX) {
    throw batchInvalid(`a need of ${payload.byteLength} bytes`);
  }
  const header = new DataView(payload.buffer, payload.byteOffset, HEADER_BYTES);
  const channel = (["memory", "disk"] as const)
    .find((each) => CHANNEL_NUMBERS[each] === header.getUint8(1));
  if (header.getUint8(0) !== 1 || header.getUint16(2) !== 0 || channel === undefined) {
    throw batchInvalid("a need of another form");
  }
  const names = Array.from({ length: count }, (_, i) => {
    const name = nameBuffer();
    getName(payload, HEADER_BYTES + i * NAME_BYTES, name);
    return name;
  });
  return { channel, number: header.getUint32(4), names };
}

/** Payload of an answer. @param contents `UNIT_BYTES` each, in the order of the need's names */
export function encodeNeeded(number: number, contents: readonly Uint8Array[]): Uint8Array {
  const body = new ByteSink(contents.length * UNIT_BYTES + 16);
  for (const content of contents) body.raw(content);
  const description = new ByteSink(16);
  description.varint(number);
  description.varint(contents.length);
  return seal(body, description.view(), ZSTD_LEVEL);
}

/** Undoes `encodeNeeded`. @throws {GatewayError} `batch_invalid` */
export function decodeNeeded(payload: Uint8Array): { number: number; contents: Uint8Array[] } {
  const body = open(payload);
  const source = new ByteSource(body.description);
  const number = source.varint();
  const count = source.varint();
  source.end();
  if (count * UNIT_BYTES !== body.contents.byteLength) {
    throw batchInvalid(`${count} contents in ${body.contents.byteLength} bytes`);
  }
  const contents = Array.from(
    { length: count },
    (_, i) => body.contents.subarray(i * UNIT_BYTES, (i + 1) * UNIT_BYTES),
  );
  return { number, contents };
}
