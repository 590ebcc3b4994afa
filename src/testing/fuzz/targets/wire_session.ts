import assert from "node:assert/strict";
import { GatewayError } from "../../../core/errors.ts";
import { CHANNEL_KINDS } from "../../../wire/channel_kind.ts";
import { MIGRATIONS_MAX, RECORD_BYTES_MAX, URGENT_BYTES_MAX } from "../../../wire/limits.ts";
import { migrationIdText } from "../../../wire/migration_id.ts";
import { Session } from "../../../wire/session.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { joinParts, mutateParts, splitParts, tagged } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";
import { anyRecord } from "./wire_records.ts";

const LIMITS = { unacknowledgedBytesMax: 40_000, payloadBytesMax: 4_000, queueBytesMin: 1_000 };

/** First byte of a step: 0 a record of the peer follows, else what this side does. */
const RECEIVE = 0;
const ACTIONS = ["send", "apply", "close", "tick", "connect", "lose", "restart"] as const;

function anyStep(dice: Dice): Uint8Array {
  if (dice.chance(0.7)) return tagged(RECEIVE, anyRecord(dice));
  return Uint8Array.of(dice.between(1, ACTIONS.length), dice.below(3), dice.below(5));
}

/** A whole session between what a peer sends and what its user does: bounded, and only its codes. */
export function wireSession(): FuzzTarget {
  return {
    name: "wire-session",
    reads: "a sequence of records, with what the session's own user does in between (src/wire)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 64 * RECORD_BYTES_MAX,
    testExecutions: 2_500,
    generate: (dice) => joinParts(Array.from({ length: dice.between(1, 30) }, () => anyStep(dice))),
    mutate: (input, dice, others) =>
      mutateParts(input, dice, (part) => mutateBytes(part, dice, others), () => anyStep(dice)),
    run: (input) => new Run().steps(splitParts(input)),
  };
}

class Run {
  readonly #session = new Session({ limits: LIMITS });
  #carrierId = 0;
  #incarnation = 1;
  #nowMs = 0;
  readonly #met = new Set<string>();

  steps(steps: readonly Uint8Array[]): string {
    this.#connect();
    for (const step of steps) {
      try {
        this.#step(step);
      } catch (thrown) {
        if (!(thrown instanceof GatewayError)) throw thrown;
        this.#met.add(thrown.code);
        if (thrown.code !== "link_closed") {
          assert.match(thrown.code, /^frame_/);
          this.#session.removeCarrier(this.#carrierId);
          this.#connect();
        }
      }
      this.#drain();
      this.#check();
    }
    return [...this.#met].sort().join(" ");
  }

  #step(step: Uint8Array): void {
    const session = this.#session;
    const action = ACTIONS[step[0] - 1];
    if (action === undefined) {
      return session.receive(this.#carrierId, step.subarray(1), this.#nowMs);
    }
    const id = migrationIdText(new Uint8Array(16).fill(1 + (step[1] ?? 0) % 3));
    const kind = CHANNEL_KINDS[(step[2] ?? 0) % CHANNEL_KINDS.length];
    if (action === "send") {
      session.send(session.open(id, kind, this.#nowMs), 1, new Uint8Array(500));
    } else if (action === "apply") {
      const channel = session.open(id, kind, this.#nowMs);
      for (let frame = session.deliver(channel); frame !== null; frame = session.deliver(channel)) {
        session.applied(channel, frame.sequence, this.#nowMs);
      }
    } else if (action === "close") session.close(id, "fuzz");
    else if (action === "tick") this.#nowMs += 100 * (1 + (step[1] ?? 0));
    else if (action === "connect") this.#connect();
    else if (action === "lose") session.removeCarrier(this.#carrierId);
    else {
      this.#incarnation++;
      this.#connect();
    }
    this.#met.add(action);
  }

  #connect(): void {
    const peerIncarnation = `peer ${this.#incarnation}`;
    const carrier = { id: ++this.#carrierId, peerIncarnation, keepsHouse: true, preferred: true };
    this.#session.addCarrier(carrier, this.#nowMs);
  }

  #drain(): void {
    const session = this.#session;
    session.tick(this.#nowMs);
    for (let sent = 0;; sent++) {
      const next = session.nextUrgent(this.#carrierId, this.#nowMs) ??
        session.nextBulk(this.#carrierId, () => true);
      if (next === null) break;
      assert.ok(next.record.byteLength <= RECORD_BYTES_MAX);
      assert.ok(sent < 10_000, "what leaves comes to an end");
    }
    for (const event of session.takeEvents()) {
      this.#met.add(event.kind);
      if (event.kind === "closeCarrier") session.removeCarrier(event.carrierId);
    }
    for (const channel of session.takeTouched()) {
      const { inbox, kind } = channel;
      this.#met.add(`touched ${kind}`);
      assert.ok(inbox.appliedUpTo <= inbox.receivedUpTo);
      assert.ok(inbox.heldCost <= Math.max(2 * LIMITS.unacknowledgedBytesMax, URGENT_BYTES_MAX));
    }
  }

  #check(): void {
    const { sentBytes, receivedBytes } = this.#session.heldCosts();
    assert.ok(sentBytes >= 0 && sentBytes <= LIMITS.unacknowledgedBytesMax);
    assert.ok(receivedBytes >= 0 && receivedBytes <= 2 * LIMITS.unacknowledgedBytesMax);
    assert.ok(this.#session.liveness.carriers.size <= MIGRATIONS_MAX);
    assert.ok(!Number.isNaN(this.#session.wakeAtMs()));
  }
}
