import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { CHANNEL_KINDS } from "./channel_kind.ts";
import { encodeFrame, encodeRecord } from "./frame.ts";
import { MIGRATIONS_MAX } from "./limits.ts";
import { migrationIdBytes, migrationIdText } from "./migration_id.ts";
import { Session } from "./session.ts";
import {
  encodeAck,
  encodeFiller,
  encodePing,
  encodeReset,
  encodeState,
} from "./session_records.ts";

const LIMITS = { unacknowledgedBytesMax: 10_000, payloadBytesMax: 1_000, queueBytesMin: 1_000 };
const IDS = [1, 2, 3].map((byte) => migrationIdText(new Uint8Array(16).fill(byte)));

const anyId = fc.constantFrom(...IDS);
const anyKind = fc.constantFrom(...CHANNEL_KINDS);
const small = fc.nat(4);

/** Records that are well formed and otherwise whatever a confused or hostile peer may send. */
const anyRecord = fc.oneof(
  fc.record({
    kind: anyKind,
    opening: fc.integer({ min: 1, max: 4 }),
    answers: small,
    sequence: fc.integer({ min: 1, max: 6 }),
    type: fc.constant(16),
    payload: fc.nat(1_000).map((bytes) => new Uint8Array(bytes)),
    id: anyId,
  }).map(({ id, ...frame }) => encodeFrame(migrationIdBytes(id), frame)),
  fc.record({ migrationId: anyId, kind: anyKind, opening: small, appliedUpTo: small })
    .map((ack) => encodeAck([ack])),
  fc.record({ migrationId: anyId, kind: anyKind, opening: small, appliedUpTo: small, more: small })
    .map(({ more, ...ack }) => {
      const receivedUpTo = ack.appliedUpTo + more;
      const ahead: [number, number][] = [[receivedUpTo + 2, receivedUpTo + 2 + more]];
      return encodeState({
        answerWanted: more > 2,
        windowBytes: 5_000 * more,
        streams: [{ ...ack, receivedUpTo, ahead: more % 2 === 0 ? [] : ahead }],
      });
    }),
  fc.record({
    migrationId: anyId,
    opening: small,
    appliedUpTo: fc.array(fc.nat(2), { minLength: 5, maxLength: 5 }),
  }).map(encodeReset),
  fc.constantFrom("ping" as const, "pong" as const).map((type) => encodePing(type, 1)),
  fc.integer({ min: 8, max: 60 }).map(encodeFiller),
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 60 })).map(([type, payload]) =>
    encodeRecord(type, payload)
  ),
);

/** What the session's own user does between two records. */
const anyUse = fc.record({
  use: fc.constantFrom("send", "apply", "close"),
  id: anyId,
  kind: anyKind,
});

Deno.test("whatever a peer sends, a session stays bounded and fails by code only", () => {
  const anyStep = fc.oneof({ weight: 3, arbitrary: anyRecord }, anyUse);
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
      const session = new Session({ limits: LIMITS });
      let carrierId = 0;
      const connect = () =>
        session.addCarrier(
          { id: ++carrierId, peerIncarnation: "peer", keepsHouse: true, preferred: true },
          0,
        );
      connect();
      for (const step of steps) {
        try {
          if (step instanceof Uint8Array) session.receive(carrierId, step, 0);
          else if (step.use === "close") session.close(step.id, "test");
          else {
            const channel = session.open(step.id, step.kind, 0);
            if (step.use === "send") session.send(channel, 1, new Uint8Array(500));
            for (let frame = session.deliver(channel); frame !== null;) {
              session.applied(channel, frame.sequence, 0);
              frame = session.deliver(channel);
            }
          }
        } catch (thrown) {
          // Anything else, a broken invariant above all, fails the test.
          if (!(thrown instanceof GatewayError)) throw thrown;
          if (thrown.code === "frame_invalid" || thrown.code === "frame_too_long") {
            session.removeCarrier(carrierId);
            connect();
          } else assert.equal(thrown.code, "link_closed");
        }
        session.tick(0);
        while (
          session.nextUrgent(carrierId, 0) !== null ||
          session.nextBulk(carrierId, () => true) !== null
        );
        const { sentBytes, receivedBytes } = session.heldCosts();
        assert.ok(sentBytes <= LIMITS.unacknowledgedBytesMax);
        assert.ok(receivedBytes <= 2 * LIMITS.unacknowledgedBytesMax);
        session.takeEvents();
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("a peer cannot open more migrations than the limit", () => {
  const session = new Session({ limits: LIMITS });
  session.addCarrier({ id: 1, peerIncarnation: "peer", keepsHouse: true, preferred: true }, 0);
  for (let i = 1; i <= MIGRATIONS_MAX + 50; i++) {
    const id = new Uint8Array(16);
    new DataView(id.buffer).setUint32(0, i);
    const frame = { kind: "control" as const, opening: i, answers: 0, sequence: 1, type: 1 };
    session.receive(1, encodeFrame(id, { ...frame, payload: new Uint8Array(1) }), 0);
  }
  const opened = session.takeEvents().filter(({ kind }) => kind === "newMigration");
  assert.equal(opened.length, MIGRATIONS_MAX);
  session.tick(60_000);
  const closed = session.takeEvents().filter(({ kind }) => kind === "ended");
  assert.equal(closed.length, MIGRATIONS_MAX, "and nobody claimed them");
});
