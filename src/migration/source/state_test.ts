import assert from "node:assert/strict";
import fc from "fast-check";
import { InvariantError } from "../../core/assert.ts";
import {
  nextSourceState,
  replaySource,
  SOURCE_TRANSITIONS,
  sourceAllows,
  sourceEnded,
  type SourceEvent,
  type SourceState,
} from "./state.ts";

const error = { code: "internal", message: "m", hint: "h" };

/** One event of each kind that can be written. */
const EVENTS: readonly SourceEvent[] = [
  { kind: "began" },
  { kind: "noted", notes: {} },
  { kind: "switchBegan" },
  { kind: "paused", atWallMs: 1 },
  { kind: "switchUndone", reason: "r" },
  {
    kind: "handoverWritten",
    epoch: 2,
    lastSequences: { memory: 1, disk: 1 },
    run: true,
    pausedAtWallMs: 1,
  },
  { kind: "ranAtPeer", epoch: 2, downtimeMs: 3 },
  { kind: "refusedByPeer", epoch: 2, error },
  { kind: "undoBegan", end: { kind: "cancelled" } },
  { kind: "undone" },
  { kind: "retired", kept: false },
  { kind: "adjudicated", owner: "source", epoch: 3, by: "o", reason: "r" },
  { kind: "adjudicated", owner: "destination", epoch: 3, by: "o", reason: "r" },
  { kind: "conflicted", epoch: 3, reason: "r" },
  { kind: "leftoversDeleted", paths: [] },
];

/** Any run of events that the table allows, from the start. */
const legalRun = fc.array(fc.nat(EVENTS.length - 1), { maxLength: 40 }).map((choices) => {
  let state: SourceState = { kind: "preparing" };
  const events: SourceEvent[] = [];
  for (const choice of choices) {
    const event = EVENTS[choice];
    if (!sourceAllows(state, event.kind)) continue;
    state = nextSourceState(state, event);
    events.push(event);
  }
  return { state, events };
});

Deno.test("replaying a source's events gives the state they led to", () => {
  fc.assert(fc.property(legalRun, ({ state, events }) => {
    const created: SourceEvent = { kind: "created", epoch: 1, site: "a" };
    assert.deepEqual(replaySource([created, ...events]), state);
  }));
});

Deno.test("each legal event leads to a state that the table names", () => {
  fc.assert(fc.property(legalRun, fc.constantFrom(...EVENTS), ({ state }, event) => {
    if (!sourceAllows(state, event.kind)) {
      assert.throws(() => nextSourceState(state, event), InvariantError);
      return;
    }
    const next = nextSourceState(state, event).kind;
    const named = (SOURCE_TRANSITIONS[state.kind] as Record<string, unknown>)[event.kind];
    if (named === undefined) assert.equal(next, state.kind);
    else assert.ok([named].flat().includes(next), `${state.kind} --${event.kind}--> ${next}`);
  }));
});

Deno.test("after a hand-over only an answer, an operator or a conflict moves the source", () => {
  const handedOver: SourceState = { kind: "handedOver", epoch: 2, run: true, pausedAtWallMs: 1 };
  const allowed = EVENTS.filter(({ kind }) => sourceAllows(handedOver, kind)).map(({ kind }) =>
    kind
  );
  assert.deepEqual(
    [...new Set(allowed)].sort(),
    ["adjudicated", "conflicted", "leftoversDeleted", "noted", "ranAtPeer", "refusedByPeer"],
  );
});

Deno.test("no run of events brings a source that completed back to a state in which it may run", () => {
  fc.assert(fc.property(legalRun, fc.constantFrom(...EVENTS), ({ state }, event) => {
    if (state.kind !== "completed") return;
    assert.ok(sourceEnded(state));
    if (sourceAllows(state, event.kind)) {
      assert.equal(nextSourceState(state, event).kind, "completed");
    }
  }));
});
