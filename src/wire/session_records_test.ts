import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { CHANNEL_KINDS } from "./channel_kind.ts";
import { RECORD_HEADER_BYTES } from "./frame.ts";
import { RECORD_BYTES_MAX, STATE_RANGES_MAX } from "./limits.ts";
import { migrationIdText } from "./migration_id.ts";
import {
  type Ack,
  decodeAck,
  decodePing,
  decodeReset,
  decodeState,
  encodeAck,
  encodeReset,
  encodeState,
  type SequenceRange,
  type State,
} from "./session_records.ts";

const isFrameInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "frame_invalid";

const payloadOf = (record: Uint8Array) => record.subarray(RECORD_HEADER_BYTES);

const anyAck = fc.record({
  migrationId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) =>
    migrationIdText(bytes)
  ),
  kind: fc.constantFrom(...CHANNEL_KINDS),
  opening: fc.maxSafeNat(),
  appliedUpTo: fc.nat(1e9),
}, { noNullPrototype: true });

const anyState: fc.Arbitrary<State> = fc.record({
  answerWanted: fc.boolean(),
  windowBytes: fc.maxSafeNat(),
  streams: fc.array(
    fc.tuple(anyAck, fc.nat(1e9), fc.array(fc.tuple(fc.nat(1e6), fc.nat(1e6)), { maxLength: 5 }))
      .map(
        ([ack, more, gaps]) => {
          const receivedUpTo = ack.appliedUpTo + more;
          let last = receivedUpTo;
          const ahead = gaps.map(([gap, length]): SequenceRange => {
            const first = last + 2 + gap;
            last = first + length;
            return [first, last];
          });
          return { ...ack, receivedUpTo, ahead };
        },
      ),
    { maxLength: 6 },
  ),
}, { noNullPrototype: true });

Deno.test("acknowledgements and states come back as they were", () => {
  fc.assert(
    fc.property(fc.array(anyAck, { minLength: 1, maxLength: 20 }), anyState, (acks, state) => {
      assert.deepEqual(decodeAck(payloadOf(encodeAck(acks))), acks);
      assert.deepEqual(decodeState(payloadOf(encodeState(state))), state);
    }),
  );
});

Deno.test("a payload that is cut at any byte is refused", () => {
  fc.assert(
    fc.property(anyAck, anyState, (ack, state) => {
      const reset = { ...ack, appliedUpTo: [1, 2, 3, 4, 5] };
      const cases: [Uint8Array, (payload: Uint8Array) => unknown][] = [
        [payloadOf(encodeAck([ack])), decodeAck],
        [payloadOf(encodeState(state)), decodeState],
        [payloadOf(encodeReset(reset)), decodeReset],
      ];
      for (const [payload, decode] of cases) {
        for (let cut = 0; cut < payload.byteLength; cut++) {
          assert.throws(() => decode(payload.subarray(0, cut)), isFrameInvalid);
        }
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("garbage is refused by code and by nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
    for (const decode of [decodeAck, decodeState, decodeReset, decodePing]) {
      try {
        decode(payload);
      } catch (thrown) {
        if (!isFrameInvalid(thrown)) throw thrown;
      }
    }
  }));
});

Deno.test("a state that no receiver can be in is refused", () => {
  const ack: Ack = {
    migrationId: migrationIdText(new Uint8Array(16)),
    kind: "disk",
    opening: 1,
    appliedUpTo: 5,
  };
  const state = (receivedUpTo: number, ahead: SequenceRange[]): State => ({
    answerWanted: false,
    windowBytes: 1,
    streams: [{ ...ack, receivedUpTo, ahead }],
  });
  const impossible = {
    "applied before received": state(4, []),
    "a range that follows without a gap": state(6, [[7, 8]]),
    "a range that goes backwards": state(6, [[9, 8]]),
    "ranges out of order": state(6, [[20, 21], [10, 11]]),
  };
  for (const [name, value] of Object.entries(impossible)) {
    assert.throws(() => decodeState(payloadOf(encodeState(value))), isFrameInvalid, name);
  }
});

Deno.test("the largest state fits a record", () => {
  const ack: Ack = {
    migrationId: migrationIdText(new Uint8Array(16)),
    kind: "disk",
    opening: 1,
    appliedUpTo: 0,
  };
  const ahead = Array.from({ length: 20_000 }, (_, i): SequenceRange => [2 + 2 * i, 2 + 2 * i]);
  const streams = Array.from({ length: 1_280 }, () => ({ ...ack, receivedUpTo: 0, ahead }));
  const record = encodeState({ answerWanted: false, windowBytes: 1, streams });
  assert.ok(record.byteLength <= RECORD_BYTES_MAX);
  const decoded = decodeState(payloadOf(record));
  assert.equal(
    decoded.streams.reduce((sum, stream) => sum + stream.ahead.length, 0),
    STATE_RANGES_MAX,
  );
});
