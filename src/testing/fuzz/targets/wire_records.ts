import assert from "node:assert/strict";
import { CHANNEL_KINDS } from "../../../wire/channel_kind.ts";
import { decodeRecord, encodeFrame, encodeRecord, RECORD_TYPES } from "../../../wire/frame.ts";
import { RECORD_BYTES_MAX } from "../../../wire/limits.ts";
import {
  MIGRATION_ID_BYTES,
  migrationIdBytes,
  migrationIdText,
} from "../../../wire/migration_id.ts";
import {
  decodeAck,
  decodePing,
  decodeReset,
  decodeState,
  encodeAck,
  encodePing,
  encodeReset,
  encodeState,
  type SequenceRange,
} from "../../../wire/session_records.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import type { FuzzTarget } from "../target.ts";

const IDS = [1, 2, 3].map((byte) => migrationIdText(new Uint8Array(MIGRATION_ID_BYTES).fill(byte)));

/** A record as some gateway might send it, about few migrations, so that several belong together. */
export function anyRecord(dice: Dice): Uint8Array {
  const id = dice.pick(IDS);
  const kind = dice.pick(CHANNEL_KINDS);
  const opening = dice.between(1, 4);
  switch (dice.below(7)) {
    case 0:
      return encodeAck(
        Array.from({ length: dice.between(1, 4) }, () => ({
          migrationId: dice.pick(IDS),
          kind: dice.pick(CHANNEL_KINDS),
          opening,
          appliedUpTo: dice.below(6),
        })),
      );
    case 1:
      return anyState(dice);
    case 2: {
      const appliedUpTo = CHANNEL_KINDS.map(() => dice.below(4));
      return encodeReset({ migrationId: id, opening, appliedUpTo });
    }
    case 3:
      return encodePing(dice.pick(["ping", "pong"]), dice.number() % 2 ** 52);
    case 4:
      return encodeRecord(dice.between(1, 255), dice.bytes(dice.size(200)));
    default:
      return encodeFrame(migrationIdBytes(id), {
        kind,
        opening,
        answers: dice.below(4),
        sequence: dice.between(1, 8),
        type: dice.between(1, 64),
        payload: dice.bytes(dice.size(4_000)),
      });
  }
}

function anyState(dice: Dice): Uint8Array {
  const streams = Array.from({ length: dice.below(5) }, () => {
    const appliedUpTo = dice.below(5);
    const receivedUpTo = appliedUpTo + dice.below(4);
    const ahead: SequenceRange[] = [];
    for (let at = receivedUpTo + 2; dice.chance(0.6); at = ahead.at(-1)![1] + 2) {
      ahead.push([at, at + dice.below(3)]);
    }
    const migrationId = dice.pick(IDS);
    const kind = dice.pick(CHANNEL_KINDS);
    return { migrationId, kind, opening: dice.between(1, 4), appliedUpTo, receivedUpTo, ahead };
  });
  return encodeState({ answerWanted: dice.chance(0.5), windowBytes: dice.size(2 ** 30), streams });
}

/** Records and what is in them: whatever is read says the same when it is written again. */
export function wireRecords(): FuzzTarget {
  return {
    name: "wire-records",
    reads: "records of a peer's session: frames, ACK, STATE, RESET, PING (src/wire)",
    codes: ["frame_invalid", "frame_too_long"],
    form: "bytes",
    // A record is there already; what is made of it is an entry for each 33 bytes or more.
    bufferBytesMax: 4 * RECORD_BYTES_MAX,
    testExecutions: 12_000,
    generate: anyRecord,
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const record = decodeRecord(input);
      if (record.record === "frame") {
        const { frame } = record;
        const again = encodeFrame(migrationIdBytes(frame.migrationId), frame);
        assert.deepEqual(again, new Uint8Array(input), "a frame is written as it was read");
        return `frame ${frame.kind}`;
      }
      const { type, payload } = record;
      const written = rewritten(type, payload);
      if (written !== null) {
        assert.deepEqual(new Uint8Array(written), new Uint8Array(input), `record of type ${type}`);
      }
      return `record ${type < 128 ? type : "ignorable"}`;
    },
  };
}

function rewritten(type: number, payload: Uint8Array): Uint8Array | null {
  switch (type) {
    case RECORD_TYPES.ack:
      return encodeAck(decodeAck(payload));
    case RECORD_TYPES.state:
      return encodeState(decodeState(payload));
    case RECORD_TYPES.reset:
      return encodeReset(decodeReset(payload));
    case RECORD_TYPES.ping:
      return encodePing("ping", decodePing(payload));
    case RECORD_TYPES.pong:
      return encodePing("pong", decodePing(payload));
    default:
      return null;
  }
}
