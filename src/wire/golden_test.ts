import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import records from "../../tests/golden/wire-v1/records.json" with { type: "json" };
import type { ChannelKind } from "./channel_kind.ts";
import {
  decodeRecord,
  encodeFrame,
  type Frame,
  RECORD_HEADER_BYTES,
  RECORD_TYPES,
} from "./frame.ts";
import { migrationIdBytes } from "./migration_id.ts";
import {
  type Ack,
  decodeAck,
  decodePing,
  decodeReset,
  decodeState,
  encodeAck,
  encodeFiller,
  encodePing,
  encodeReset,
  encodeState,
  type Reset,
  type State,
} from "./session_records.ts";

/** Encoder and decoder of each record type, over the JSON form of its value. */
const CODECS = {
  ack: [(value: unknown) => encodeAck(value as Ack[]), decodeAck],
  state: [(value: unknown) => encodeState(value as State), decodeState],
  reset: [(value: unknown) => encodeReset(value as Reset), decodeReset],
  ping: [(value: unknown) => encodePing("ping", value as number), decodePing],
  pong: [(value: unknown) => encodePing("pong", value as number), decodePing],
  filler: [
    (value: unknown) => encodeFiller(value as number),
    (payload: Uint8Array) => RECORD_HEADER_BYTES + payload.byteLength,
  ],
} as const;

for (const golden of records) {
  Deno.test(`protocol version 1, ${golden.name}: bytes and meaning stay as they are`, () => {
    const bytes = new Uint8Array(Buffer.from(golden.hex, "hex"));
    const decoded = decodeRecord(bytes);
    if (decoded.record === "frame") {
      assert.equal(golden.record, "frame");
      const { payload, ...frame } = decoded.frame;
      assert.deepEqual(
        { ...frame, payloadHex: Buffer.from(payload).toString("hex") },
        golden.value,
      );
      assert.equal(Buffer.from(encodeGoldenFrame(golden.value)).toString("hex"), golden.hex);
      return;
    }
    const record = golden.record as keyof typeof CODECS;
    assert.equal(decoded.type, RECORD_TYPES[record]);
    const [encode, decode] = CODECS[record];
    assert.deepEqual(decode(decoded.payload), golden.value);
    assert.equal(Buffer.from(encode(golden.value)).toString("hex"), golden.hex);
  });
}

function encodeGoldenFrame(value: unknown): Uint8Array {
  const { migrationId, payloadHex, ...frame } = value as Omit<Frame, "payload" | "kind"> & {
    payloadHex: string;
    kind: ChannelKind;
  };
  const payload = new Uint8Array(Buffer.from(payloadHex, "hex"));
  return encodeFrame(migrationIdBytes(migrationId), { ...frame, payload });
}
