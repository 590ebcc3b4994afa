import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { decodeRecord, encodeFrame, encodeRecord, type Frame, RECORD_TYPES } from "./frame.ts";
import type { SessionLimits } from "./limits.ts";
import { migrationIdBytes, migrationIdText } from "./migration_id.ts";
import { Session } from "./session.ts";
import { decodeState, encodeAck, encodeState } from "./session_records.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xa1));
const LIMITS: SessionLimits = {
  unacknowledgedBytesMax: 10_000,
  payloadBytesMax: 1_000,
  queueBytesMin: 1_000,
};

const isFrameInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "frame_invalid";

const carrier = (id: number, peerIncarnation: string) => (
  { id, peerIncarnation, keepsHouse: true, preferred: true }
);

/** Everything a session would send over one connection at this moment. */
function drain(session: Session, carrierId: number, nowMs = 0): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (;;) {
    const next = session.nextUrgent(carrierId, nowMs) ?? session.nextBulk(carrierId, () => true);
    if (next === null) return records;
    records.push(next.record);
  }
}

const framesOf = (records: readonly Uint8Array[]) =>
  records.map(decodeRecord).flatMap((decoded) => decoded.record === "frame" ? [decoded.frame] : []);

const sequencesOf = (records: readonly Uint8Array[]) =>
  framesOf(records).map(({ sequence }) => sequence);

/** Two sessions with one connection (1) on which both have sent their STATE. */
function joined(limits: Partial<SessionLimits> = LIMITS): { a: Session; b: Session } {
  const [a, b] = [new Session({ limits }), new Session({ limits })];
  connect(a, b, 1);
  return { a, b };
}

function connect(a: Session, b: Session, id: number, nowMs = 0): void {
  a.addCarrier(carrier(id, "b"), nowMs);
  b.addCarrier({ ...carrier(id, "a"), keepsHouse: false }, nowMs);
  const fromA = drain(a, id, nowMs);
  for (const record of drain(b, id, nowMs)) a.receive(id, record, nowMs);
  for (const record of fromA) b.receive(id, record, nowMs);
}

/** Applies everything that is in order. */
function applyAll(session: Session, nowMs = 0): Frame["sequence"][] {
  const channel = session.open(ID, "memory", nowMs);
  const sequences: number[] = [];
  for (let frame = session.deliver(channel); frame !== null; frame = session.deliver(channel)) {
    sequences.push(frame.sequence);
    session.applied(channel, frame.sequence, nowMs);
  }
  return sequences;
}

Deno.test("nothing is sent before the peer's state is known", () => {
  const session = new Session();
  session.send(session.open(ID, "control", 0), 1, new Uint8Array(1));
  session.addCarrier(carrier(1, "peer"), 0);
  const [state, ...rest] = drain(session, 1).map(decodeRecord);
  assert.ok(state.record === "other" && state.type === RECORD_TYPES.state);
  assert.deepEqual(rest, []);
});

Deno.test("after a cut only what the peer does not have is sent again", () => {
  const { a, b } = joined();
  const channel = a.open(ID, "memory", 0);
  for (let i = 0; i < 6; i++) a.send(channel, 16, new Uint8Array(100));
  const sent = drain(a, 1);
  // 1 and 2 are applied, 4 and 6 wait out of order, 3 and 5 are lost; no acknowledgement arrives.
  for (const i of [0, 1, 3, 5]) b.receive(1, sent[i], 0);
  assert.deepEqual(applyAll(b), [1, 2]);
  a.removeCarrier(1);
  b.removeCarrier(1);
  connect(a, b, 2);
  assert.equal(channel.outbox.acknowledgedUpTo, 2);
  const again = drain(a, 2);
  assert.deepEqual(sequencesOf(again), [3, 5]);
  assert.equal(a.resentBytes, 200, "and counted");
  for (const record of again) b.receive(2, record, 0);
  assert.deepEqual(applyAll(b), [3, 4, 5, 6]);
});

Deno.test("a second connection takes over what went over one that fell silent", () => {
  const { a, b } = joined();
  const channel = a.open(ID, "memory", 0);
  a.send(channel, 16, new Uint8Array(100));
  assert.deepEqual(sequencesOf(drain(a, 1)), [1]);
  for (let nowMs = 0; nowMs <= 1_200; nowMs += 300) {
    a.tick(nowMs);
    drain(a, 1, nowMs);
  }
  assert.ok(a.liveness.carriers.get(1)?.silent);
  a.send(channel, 16, new Uint8Array(100));
  assert.deepEqual(sequencesOf(drain(a, 1, 1_200)), [], "nothing more goes over the silent one");
  connect(a, b, 2, 1_200);
  assert.deepEqual(sequencesOf(drain(a, 2, 1_200)), [1, 2]);
});

Deno.test("an acknowledgement lost with its connection is told over one that was still starting", () => {
  const { a, b } = joined();
  const channel = a.open(ID, "memory", 0);
  a.send(channel, 16, new Uint8Array(100));
  for (const record of drain(a, 1)) b.receive(1, record, 0);
  // The next connection begins, and what both say first is held up.
  a.addCarrier(carrier(2, "b"), 0);
  b.addCarrier({ ...carrier(2, "a"), keepsHouse: false }, 0);
  const [fromA, fromB] = [drain(a, 2), drain(b, 2)];
  assert.deepEqual(applyAll(b), [1]);
  b.tick(1_000);
  assert.ok(drain(b, 1, 1_000).length > 0, "the acknowledgement, which is lost");
  a.removeCarrier(1);
  b.removeCarrier(1);
  for (const record of fromA) b.receive(2, record, 1_000);
  for (const record of fromB) a.receive(2, record, 1_000);
  for (const record of drain(b, 2, 1_000)) a.receive(2, record, 1_000);
  assert.equal(channel.outbox.acknowledgedUpTo, 1);
});

Deno.test("a connection that dies while another works makes both sides tell what they have", () => {
  const { a, b } = joined();
  const channel = a.open(ID, "memory", 0);
  a.send(channel, 16, new Uint8Array(100));
  drain(a, 1);
  connect(a, b, 2);
  assert.deepEqual(framesOf(drain(a, 2)), [], "the first connection may still deliver");
  a.removeCarrier(1);
  const [asking] = drain(a, 2).map(decodeRecord);
  assert.ok(asking.record === "other" && decodeState(asking.payload).answerWanted);
  b.receive(2, encodeRecord(asking.type, asking.payload), 0);
  for (const record of drain(b, 2)) a.receive(2, record, 0);
  assert.deepEqual(sequencesOf(drain(a, 2)), [1]);
});

Deno.test("a connection that falls silent beside a working one gives its frames up at once", () => {
  const { a, b } = joined();
  a.send(a.open(ID, "memory", 0), 16, new Uint8Array(100));
  drain(a, 1);
  connect(a, b, 2);
  for (let nowMs = 0; nowMs <= 1_200; nowMs += 300) {
    a.tick(nowMs);
    b.tick(nowMs);
    for (const record of drain(a, 2, nowMs)) b.receive(2, record, nowMs);
    for (const record of drain(b, 2, nowMs)) a.receive(2, record, nowMs);
  }
  assert.ok(a.liveness.carriers.get(1)?.silent);
  const resent = drain(a, 2, 1_200);
  for (const record of resent) b.receive(2, record, 1_200);
  assert.deepEqual(applyAll(b, 1_200), [1]);
});

Deno.test("acknowledgements wait for 20 ms of bulk and not at all for control", () => {
  const { a, b } = joined();
  const isAck = (record: Uint8Array) => record[0] === RECORD_TYPES.ack;
  a.send(a.open(ID, "memory", 0), 16, new Uint8Array(100));
  for (const record of drain(a, 1)) b.receive(1, record, 0);
  applyAll(b);
  assert.deepEqual(drain(b, 1).filter(isAck), []);
  assert.equal(b.wakeAtMs(), 0, "the first ping");
  b.tick(0);
  drain(b, 1);
  assert.equal(b.wakeAtMs(), 20);
  b.tick(20);
  assert.equal(drain(b, 1, 20).filter(isAck).length, 1);

  a.send(a.open(ID, "control", 0), 1, new Uint8Array(1));
  for (const record of drain(a, 1, 20)) b.receive(1, record, 20);
  const control = b.open(ID, "control", 20);
  assert.equal(b.deliver(control)?.sequence, 1);
  assert.deepEqual(drain(b, 1, 20).filter(isAck), [], "not before it is applied");
  b.applied(control, 1, 20);
  assert.equal(drain(b, 1, 20).filter(isAck).length, 1);
});

Deno.test("a disk frame does not wait for megabytes of small memory frames", () => {
  const { a } = joined({ ...LIMITS, unacknowledgedBytesMax: 10_000_000 });
  const [memory, disk] = [a.open(ID, "memory", 0), a.open(ID, "disk", 0)];
  for (let i = 0; i < 40; i++) a.send(memory, 16, new Uint8Array(100));
  for (let i = 0; i < 2; i++) a.send(disk, 32, new Uint8Array(100));
  const kinds = framesOf(drain(a, 1)).map(({ kind }) => kind);
  assert.deepEqual([kinds.indexOf("disk"), kinds.lastIndexOf("disk")], [16, 33]);
});

Deno.test("a sender keeps to the smaller of both windows", () => {
  const a = new Session({ limits: LIMITS });
  const b = new Session({ limits: { ...LIMITS, unacknowledgedBytesMax: 5_000 } });
  connect(a, b, 1);
  const channel = a.open(ID, "memory", 0);
  for (let i = 0; i < 20; i++) a.send(channel, 16, new Uint8Array(744));
  // A frame counts 1 000; one channel gets at most what it leaves free. By its own window: 5.
  assert.equal(framesOf(drain(a, 1)).length, 3);
});

Deno.test("a peer that exceeds the window, or states the impossible, is refused", () => {
  const frame = (sequence: number, kind: Frame["kind"] = "memory") =>
    encodeFrame(migrationIdBytes(ID), {
      kind,
      opening: 1,
      answers: 0,
      sequence,
      type: 16,
      payload: new Uint8Array(744),
    });
  const { b } = joined();
  // Twice the window of 10 000; a frame counts 1 000.
  for (let i = 1; i <= 20; i++) b.receive(1, frame(2 * i), 0);
  assert.throws(() => b.receive(1, frame(99), 0), isFrameInvalid);
  b.receive(1, frame(1, "control"), 0);

  const { a } = joined();
  const { migration } = a.open(ID, "memory", 0);
  const stream = { migrationId: ID, kind: "memory" as const, opening: migration.opening };
  const ack = encodeAck([{ ...stream, appliedUpTo: 1 }]);
  assert.throws(() => a.receive(1, ack, 0), isFrameInvalid, "acknowledges what was never sent");
  const state = encodeState({
    answerWanted: false,
    windowBytes: 1,
    streams: [{ ...stream, appliedUpTo: 0, receivedUpTo: 0, ahead: [[2, 2]] }],
  });
  assert.throws(() => a.receive(1, state, 0), isFrameInvalid, "has what was never sent");
  const unknown = encodeRecord(127, new Uint8Array(0));
  assert.throws(() => a.receive(1, unknown, 0), isFrameInvalid, "a record type of no version");
  a.receive(1, encodeRecord(128, new Uint8Array(0)), 0);
});

Deno.test("a frame of one opening never reaches the next one", () => {
  const { a, b } = joined();
  a.send(a.open(ID, "memory", 0), 16, Uint8Array.of(1));
  const [late] = drain(a, 1);
  a.close(ID, "test");
  a.send(a.open(ID, "memory", 0), 16, Uint8Array.of(2));
  const present = drain(a, 1).filter((record) => record[0] === RECORD_TYPES.frame);
  for (const record of [...present, late]) b.receive(1, record, 0);
  const channel = b.open(ID, "memory", 0);
  assert.deepEqual(b.deliver(channel)?.payload, Uint8Array.of(2));
  assert.equal(b.deliver(channel), null);
});

Deno.test("an answer to a migration that was closed here does not open it again", () => {
  const { a, b } = joined();
  a.send(a.open(ID, "control", 0), 1, Uint8Array.of(1));
  for (const record of drain(a, 1)) b.receive(1, record, 0);
  b.send(b.open(ID, "control", 0), 1, Uint8Array.of(2));
  a.close(ID, "cancelled");
  a.takeEvents();
  for (const record of drain(b, 1)) a.receive(1, record, 0);
  assert.deepEqual(a.takeEvents(), []);
  const [reset] = drain(a, 1);
  assert.equal(reset[0], RECORD_TYPES.reset);
  b.receive(1, reset, 0);
  assert.equal(b.open(ID, "control", 0).migration.state, "deaf");
});

Deno.test("an acknowledgement that was lost with its connection is told by the refusal", () => {
  const { a, b } = joined();
  const channel = a.open(ID, "memory", 0);
  for (let i = 0; i < 3; i++) a.send(channel, 16, new Uint8Array(10));
  for (const record of drain(a, 1).slice(0, 2)) b.receive(1, record, 0);
  assert.deepEqual(applyAll(b), [1, 2]);
  b.close(ID, "done");
  drain(b, 1);
  a.removeCarrier(1);
  b.removeCarrier(1);
  connect(a, b, 2);
  for (const record of drain(a, 2)) b.receive(2, record, 0);
  for (const record of drain(b, 2)) a.receive(2, record, 0);
  assert.equal(channel.outbox.acknowledgedUpTo, 2);
  assert.equal(channel.migration.state, "deaf");
});

Deno.test("filler is dropped, and so is every record of a type that may be ignored", () => {
  const { a, b } = joined();
  for (let type = 128; type < 256; type++) {
    for (const bytes of [0, 1, 500]) {
      a.receive(1, encodeRecord(type, new Uint8Array(bytes).fill(type)), 500);
    }
  }
  assert.deepEqual([a.takeEvents(), [...a.takeTouched()]], [[], []]);
  assert.deepEqual(a.heldCosts(), { sentBytes: 0, receivedBytes: 0 });
  assert.equal(a.liveness.lastHeardMs, 500, "but the peer was heard");
  a.tick(500);
  assert.deepEqual(drain(a, 1, 500).map((record) => record[0]), [RECORD_TYPES.ping]);
  assert.equal(b.hasBulk, false);
});

Deno.test("control frames are bounded, too", () => {
  const session = new Session();
  const control = session.open(ID, "control", 0);
  const payload = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 7; i++) session.send(control, 1, payload);
  assert.throws(
    () => session.send(control, 1, payload),
    (thrown: unknown) => thrown instanceof GatewayError && thrown.code === "link_closed",
  );
});

Deno.test("a late connection of a process that has ended is refused", () => {
  const session = new Session();
  assert.ok(session.addCarrier(carrier(1, "old"), 0));
  assert.ok(session.addCarrier(carrier(2, "new"), 0));
  assert.deepEqual(session.takeEvents().map(({ kind }) => kind), ["closeCarrier", "restarted"]);
  assert.equal(session.addCarrier(carrier(3, "old"), 0), false);
});
