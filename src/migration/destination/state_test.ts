import assert from "node:assert/strict";
import fc from "fast-check";
import { InvariantError } from "../../core/assert.ts";
import {
  DESTINATION_TRANSITIONS,
  destinationAllows,
  type DestinationEvent,
  type DestinationState,
  nextDestinationState,
  partialCopies,
  replayDestination,
  wasWithdrawn,
} from "./state.ts";

const error = { code: "internal", message: "m", hint: "h" };

const EVENTS: readonly DestinationEvent[] = [
  { kind: "prepared" },
  { kind: "noted", notes: {} },
  { kind: "roundRecorded", round: 1, bytes: 0 },
  { kind: "handoverReceived", epoch: 2, run: true },
  { kind: "owned", epoch: 2, run: true },
  { kind: "started" },
  { kind: "refused", epoch: 2, error },
  { kind: "abandoned", error },
  { kind: "conflicted", epoch: 3, reason: "r" },
  { kind: "adjudicated", owner: "a", epoch: 3, by: "operator", reason: "r" },
  { kind: "leftoversDeleted", paths: [] },
];

const legalRun = fc.array(fc.nat(EVENTS.length - 1), { maxLength: 30 }).map((choices) => {
  let state: DestinationState = { kind: "accepted" };
  const events: DestinationEvent[] = [];
  for (const choice of choices) {
    const event = EVENTS[choice];
    if (!destinationAllows(state, event.kind)) continue;
    state = nextDestinationState(state, event);
    events.push(event);
  }
  return { state, events };
});

Deno.test("replaying a destination's events gives the state they led to", () => {
  fc.assert(fc.property(legalRun, ({ state, events }) => {
    const created: DestinationEvent = { kind: "created", epoch: 2, from: "a" };
    assert.deepEqual(replayDestination([created, ...events]), state);
  }));
});

Deno.test("a destination that refused never owns the machine, and one that owns never refuses", () => {
  fc.assert(fc.property(legalRun, ({ events }) => {
    const kinds = events.map(({ kind }) => kind);
    assert.ok(!(kinds.includes("refused") && kinds.includes("owned")), kinds.join(" "));
    assert.ok(!kinds.includes("started") || kinds.includes("owned"));
  }));
});

Deno.test("an event outside of the table is a broken invariant", () => {
  fc.assert(fc.property(legalRun, fc.constantFrom(...EVENTS), ({ state }, event) => {
    if (destinationAllows(state, event.kind)) {
      const next = nextDestinationState(state, event).kind;
      const named = (DESTINATION_TRANSITIONS[state.kind] as Record<string, unknown>)[event.kind];
      assert.equal(next, named ?? state.kind);
    } else assert.throws(() => nextDestinationState(state, event), InvariantError);
  }));
});

Deno.test("partialCopies() names what a move that was given up wrote, until it is deleted", () => {
  const created: DestinationEvent = { kind: "created", epoch: 2, from: "a" };
  const prepared: DestinationEvent = { kind: "prepared", images: ["/x", "/y"] };
  const abandoned: DestinationEvent = { kind: "abandoned", error: null };
  assert.deepEqual(partialCopies([created, prepared]), []);
  assert.deepEqual(partialCopies([created, abandoned]), []);
  assert.deepEqual(partialCopies([created, prepared, abandoned]), ["/x", "/y"]);
  const deleted: DestinationEvent = { kind: "leftoversDeleted", paths: ["/x"] };
  assert.deepEqual(partialCopies([created, prepared, abandoned, deleted]), ["/y"]);
});

Deno.test("only an offer that ended before anything was done or refused here was withdrawn", () => {
  const created: DestinationEvent = { kind: "created", epoch: 2, from: "a" };
  assert.equal(wasWithdrawn([created]), false);
  assert.equal(wasWithdrawn([created, { kind: "abandoned", error }]), true);
  fc.assert(fc.property(legalRun, ({ state, events }) => {
    const touched = events.some(({ kind }) => kind === "prepared" || kind === "refused");
    const abandoned = events.some(({ kind }) => kind === "abandoned");
    assert.equal(wasWithdrawn([created, ...events]), abandoned && !touched, state.kind);
  }));
});
