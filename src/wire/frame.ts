/**
 * Records between gateways, protocol version 1. Integers are big-endian.
 *
 * ```
 *  0  u8   record type        1 FRAME, 2 ACK, 3 STATE, 4 RESET, 5 PING, 6 PONG,
 *                            128 FILLER, 129 CLOCK
 *  1  u8   channel kind       FRAME only, else 0
 *  2  u8   frame type         FRAME only, else 0 (`frame_types.ts`)
 *  3  u8   0
 *  4  u32  payload length
 *  8  u64  sequence           FRAME only, like everything up to the payload
 * 16  u64  opening            number that the sender gave to this opening of the migration
 * 24  u64  answers           the receiver's opening, as far as the sender knows it; 0 before
 * 32  16   migration id
 * 48       payload
 * ```
 *
 * Records other than FRAME have no sequence, opening or id: their payload starts at 8
 * (`session_records.ts`). Types from 128 are ignored by a receiver that does not know them.
 */
import { GatewayError } from "../core/errors.ts";
import { ByteReader, ByteWriter, frameInvalid } from "./bytes.ts";
import { CHANNEL_KINDS, type ChannelKind, kindNumber } from "./channel_kind.ts";
import { FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX } from "./limits.ts";
import { MIGRATION_ID_BYTES, migrationIdText } from "./migration_id.ts";

export const RECORD_TYPES = {
  frame: 1,
  ack: 2,
  state: 3,
  reset: 4,
  ping: 5,
  pong: 6,
  filler: 128,
  clock: 129,
  packet: 130,
} as const;

/** Records with these types and above may be ignored by who does not know them. */
export const IGNORABLE_RECORD_TYPE_MIN = 128;

/** Bytes before the payload of every record that is not a FRAME. */
export const RECORD_HEADER_BYTES = 8;

/** One numbered frame of a channel. */
export interface Frame {
  readonly migrationId: string;
  readonly kind: ChannelKind;
  /** Which opening of the migration at the sender this belongs to; rises with each opening. */
  readonly opening: number;
  /** The receiver's opening of the migration, as far as the sender knows it; 0 before that. */
  readonly answers: number;
  /** From 1, without gaps. */
  readonly sequence: number;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** A record as it came: a frame, or another type with its undecoded payload. */
export type Record =
  | { readonly record: "frame"; readonly frame: Frame }
  | { readonly record: "other"; readonly type: number; readonly payload: Uint8Array };

/**
 * Encodes one frame as a record; the payload is copied.
 *
 * @param migrationId the 16 bytes of the id
 * @throws {GatewayError} `frame_too_long`
 */
export function encodeFrame(
  migrationId: Uint8Array,
  frame: Omit<Frame, "migrationId">,
): Uint8Array {
  const payloadBytes = frame.payload.byteLength;
  checkPayloadBytes(payloadBytes);
  return new ByteWriter(FRAME_HEADER_BYTES + payloadBytes)
    .u8(RECORD_TYPES.frame).u8(kindNumber(frame.kind)).u8(frame.type).u8(0).u32(payloadBytes)
    .u64(frame.sequence).u64(frame.opening).u64(frame.answers)
    .raw(migrationId).raw(frame.payload).bytes;
}

/** Encodes a record of another type than FRAME. */
export function encodeRecord(type: number, payload: Uint8Array): Uint8Array {
  checkPayloadBytes(payload.byteLength);
  return new ByteWriter(RECORD_HEADER_BYTES + payload.byteLength)
    .u8(type).u8(0).u8(0).u8(0).u32(payload.byteLength).raw(payload).bytes;
}

/**
 * Decodes one whole record, as a carrier delivers it.
 *
 * @returns views into `bytes`, which must not change while they are in use
 * @throws {GatewayError} `frame_invalid`, `frame_too_long`
 */
export function decodeRecord(bytes: Uint8Array): Record {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  const kindIndex = reader.u8();
  const frameType = reader.u8();
  if (reader.u8() !== 0) throw frameInvalid("a reserved byte is set");
  const payloadBytes = reader.u32();
  checkPayloadBytes(payloadBytes);
  if (type !== RECORD_TYPES.frame) {
    if (type === 0) throw frameInvalid("record type 0");
    if (kindIndex !== 0 || frameType !== 0) throw frameInvalid("a reserved byte is set");
    const payload = reader.raw(payloadBytes);
    reader.end();
    return { record: "other", type, payload };
  }
  const kind = CHANNEL_KINDS[kindIndex];
  if (kind === undefined) throw frameInvalid(`unknown channel kind ${kindIndex}`);
  if (frameType === 0) throw frameInvalid("frame type 0");
  const sequence = reader.u64();
  if (sequence === 0) throw frameInvalid("sequence number 0");
  const opening = reader.u64();
  if (opening === 0) throw frameInvalid("opening 0");
  const answers = reader.u64();
  const migrationId = migrationIdText(reader.raw(MIGRATION_ID_BYTES));
  const payload = reader.raw(payloadBytes);
  reader.end();
  return {
    record: "frame",
    frame: { migrationId, kind, opening, answers, sequence, type: frameType, payload },
  };
}

/** @throws {GatewayError} `frame_too_long` */
export function checkPayloadBytes(payloadBytes: number): void {
  if (payloadBytes <= PAYLOAD_BYTES_MAX) return;
  throw new GatewayError(
    "frame_too_long",
    `Cannot carry a frame: its payload is ${payloadBytes} bytes, limit is ${PAYLOAD_BYTES_MAX}`,
    { hint: "Check that both gateways run the same version" },
  );
}
