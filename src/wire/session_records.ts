/**
 * Payloads of the records that the session exchanges beside the numbered frames. Integers are
 * big-endian; ids are 16 bytes, kinds u8, everything that counts frames u64.
 */
import { ByteReader, ByteWriter, frameInvalid } from "./bytes.ts";
import { CHANNEL_KINDS, type ChannelKind, kindNumber } from "./channel_kind.ts";
import { encodeRecord, RECORD_HEADER_BYTES, RECORD_TYPES } from "./frame.ts";
import { MIGRATIONS_MAX, STATE_RANGES_MAX } from "./limits.ts";
import { MIGRATION_ID_BYTES, migrationIdBytes, migrationIdText } from "./migration_id.ts";

/** Names one direction of one channel: `opening` is the number of the side that sends its frames. */
export interface StreamName {
  readonly migrationId: string;
  readonly kind: ChannelKind;
  readonly opening: number;
}

/** ACK: `{ id, kind, u64 opening, u64 appliedUpTo }` for each stream, back to back. */
export interface Ack extends StreamName {
  readonly appliedUpTo: number;
}

/** First and last sequence number, both included. */
export type SequenceRange = readonly [first: number, last: number];

/** What one side has of one stream. */
export interface StreamState extends Ack {
  /** Everything up to this was received. */
  readonly receivedUpTo: number;
  /** Received beyond that, ascending, with gaps between. */
  readonly ahead: readonly SequenceRange[];
}

/**
 * STATE: what the sender has received; first record on a new connection, and again after another
 * one was lost. `{ u8 flags (1: answer with yours), 3 x 0, u32 streamCount, u64 windowBytes,
 * streams: { id, kind, opening, appliedUpTo, receivedUpTo, u16 rangeCount, (u64 first, u64 last)* } }`
 */
export interface State {
  readonly answerWanted: boolean;
  /** Costs of bulk frames that the sender of this record is willing to hold. */
  readonly windowBytes: number;
  readonly streams: readonly StreamState[];
}

/**
 * RESET: the sender has closed, or never had, this migration. It takes no frame of `opening` any
 * more; what it applied before is stated so that no acknowledgement is lost with the channels.
 * `{ id, u64 opening, u64 appliedUpTo for each channel kind }`
 */
export interface Reset {
  readonly migrationId: string;
  readonly opening: number;
  readonly appliedUpTo: readonly number[];
}

export const ACK_ENTRY_BYTES = MIGRATION_ID_BYTES + 1 + 8 + 8;
const STREAM_STATE_BYTES = ACK_ENTRY_BYTES + 8 + 2;
const RANGE_BYTES = 16;
const RANGES_OF_ONE_STREAM_MAX = 0xffff;
const STREAMS_MAX = MIGRATIONS_MAX * CHANNEL_KINDS.length;
const ANSWER_WANTED = 1;

export function encodeAck(acks: readonly Ack[]): Uint8Array {
  const writer = new ByteWriter(acks.length * ACK_ENTRY_BYTES);
  for (const ack of acks) putAck(writer, ack);
  return encodeRecord(RECORD_TYPES.ack, writer.bytes);
}

/** @throws {GatewayError} `frame_invalid` */
export function decodeAck(payload: Uint8Array): Ack[] {
  const count = payload.byteLength / ACK_ENTRY_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > STREAMS_MAX) {
    throw frameInvalid(`an ACK of ${payload.byteLength} bytes`);
  }
  const reader = new ByteReader(payload);
  return Array.from({ length: count }, () => getAck(reader));
}

/** Lists at most `STATE_RANGES_MAX` ranges; what is left out is only sent again and dropped. */
export function encodeState(state: State): Uint8Array {
  let rangesLeft = STATE_RANGES_MAX;
  const streams = state.streams.map((stream) => {
    const ahead = stream.ahead.slice(0, Math.min(rangesLeft, RANGES_OF_ONE_STREAM_MAX));
    rangesLeft -= ahead.length;
    return { ...stream, ahead };
  });
  const rangeCount = STATE_RANGES_MAX - rangesLeft;
  const writer = new ByteWriter(
    16 + streams.length * STREAM_STATE_BYTES + rangeCount * RANGE_BYTES,
  );
  writer.u8(state.answerWanted ? ANSWER_WANTED : 0).u8(0).u16(0).u32(streams.length);
  writer.u64(state.windowBytes);
  for (const stream of streams) {
    putAck(writer, stream);
    writer.u64(stream.receivedUpTo).u16(stream.ahead.length);
    for (const [first, last] of stream.ahead) writer.u64(first).u64(last);
  }
  return encodeRecord(RECORD_TYPES.state, writer.bytes);
}

/** @throws {GatewayError} `frame_invalid` */
export function decodeState(payload: Uint8Array): State {
  const reader = new ByteReader(payload);
  const flags = reader.u8();
  if ((flags & ~ANSWER_WANTED) !== 0 || reader.u8() !== 0 || reader.u16() !== 0) {
    throw frameInvalid("a reserved bit of STATE is set");
  }
  const streamCount = reader.u32();
  if (streamCount > STREAMS_MAX) throw frameInvalid(`a STATE of ${streamCount} channels`);
  const windowBytes = reader.u64();
  const streams: StreamState[] = [];
  for (let i = 0; i < streamCount; i++) {
    const ack = getAck(reader);
    const receivedUpTo = reader.u64();
    if (receivedUpTo < ack.appliedUpTo) throw frameInvalid("a STATE applied before it received");
    const ahead: SequenceRange[] = [];
    let last = receivedUpTo;
    for (let count = reader.u16(); count > 0; count--) {
      const range: SequenceRange = [reader.u64(), reader.u64()];
      if (range[0] <= last + 1 || range[1] < range[0]) throw frameInvalid("ranges out of order");
      last = range[1];
      ahead.push(range);
    }
    streams.push({ ...ack, receivedUpTo, ahead });
  }
  reader.end();
  return { answerWanted: (flags & ANSWER_WANTED) !== 0, windowBytes, streams };
}

export function encodeReset(reset: Reset): Uint8Array {
  const writer = new ByteWriter(MIGRATION_ID_BYTES + 8 + 8 * CHANNEL_KINDS.length);
  writer.raw(migrationIdBytes(reset.migrationId)).u64(reset.opening);
  for (let kind = 0; kind < CHANNEL_KINDS.length; kind++) writer.u64(reset.appliedUpTo[kind] ?? 0);
  return encodeRecord(RECORD_TYPES.reset, writer.bytes);
}

/** @throws {GatewayError} `frame_invalid` */
export function decodeReset(payload: Uint8Array): Reset {
  const reader = new ByteReader(payload);
  const migrationId = migrationIdText(reader.raw(MIGRATION_ID_BYTES));
  const opening = reader.u64();
  const appliedUpTo = CHANNEL_KINDS.map(() => reader.u64());
  reader.end();
  return { migrationId, opening, appliedUpTo };
}

/** PING and PONG: `{ u64 number }`; a PONG repeats the number of its PING. */
export function encodePing(type: "ping" | "pong", number: number): Uint8Array {
  return encodeRecord(RECORD_TYPES[type], new ByteWriter(8).u64(number).bytes);
}

/** @throws {GatewayError} `frame_invalid` */
export function decodePing(payload: Uint8Array): number {
  const reader = new ByteReader(payload);
  const number = reader.u64();
  reader.end();
  return number;
}

/**
 * FILLER: bytes without meaning that show what a path carries; dropped by whoever gets it. Zeros are
 * as good as anything: what a carrier sends is encrypted.
 */
export function encodeFiller(recordBytes: number): Uint8Array {
  return encodeRecord(RECORD_TYPES.filler, new Uint8Array(recordBytes - RECORD_HEADER_BYTES));
}

function putAck(writer: ByteWriter, ack: Ack): void {
  writer.raw(migrationIdBytes(ack.migrationId)).u8(kindNumber(ack.kind));
  writer.u64(ack.opening).u64(ack.appliedUpTo);
}

function getAck(reader: ByteReader): Ack {
  const migrationId = migrationIdText(reader.raw(MIGRATION_ID_BYTES));
  const kindIndex = reader.u8();
  const kind = CHANNEL_KINDS[kindIndex];
  if (kind === undefined) throw frameInvalid(`unknown channel kind ${kindIndex}`);
  return { migrationId, kind, opening: reader.u64(), appliedUpTo: reader.u64() };
}
