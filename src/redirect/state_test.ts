import assert from "node:assert/strict";
import fc from "fast-check";
import {
  eventsTowards,
  type Fate,
  FIRST_STATE,
  nextRedirectState,
  REDIRECT_TRANSITIONS,
  redirectAllows,
  redirectEnded,
  type RedirectEvent,
  replayRedirect,
  shownState,
  type Stage,
  STAGES,
} from "./state.ts";

const event: fc.Arbitrary<RedirectEvent> = fc.oneof(
  fc.constantFrom<RedirectEvent>(
    { kind: "preparing" },
    { kind: "switched" },
    { kind: "unswitched" },
    { kind: "arrived" },
    { kind: "retiring", reason: "idle" },
    { kind: "undone" },
    { kind: "settled" },
    { kind: "failed", problem: "no such device" },
    { kind: "probed", silent: ["tcp 10.1.0.5:22"] },
    { kind: "reached", blackoutMs: 300 },
    { kind: "unreached", waitedMs: 10_000, missing: ["tcp 10.1.0.5:80"], asks: true },
    { kind: "answered", keep: true, by: "operator" },
  ),
);
const fate = fc.constantFrom<Fate>("open", "switched", "arrived", "stays");

/** Some history that the table allows. */
const history = fc.array(event, { maxLength: 30 }).map((events) => {
  let state = FIRST_STATE;
  return events.filter((each) => {
    if (!redirectAllows(state, each.kind)) return false;
    state = nextRedirectState(state, each);
    return true;
  });
});

Deno.test("a replay of any prefix and the rest gives the state that all events give", () => {
  fc.assert(fc.property(history, fc.nat(30), (events, cut) => {
    let state = replayRedirect(events.slice(0, cut));
    for (const each of events.slice(cut)) state = nextRedirectState(state, each);
    assert.deepEqual(state, replayRedirect(events));
  }));
});

Deno.test("whatever happened, the fate of the machine leads to one end by legal events", () => {
  fc.assert(fc.property(history, fate, (events, fate) => {
    let state = replayRedirect(events);
    const before = state.stage;
    for (const kind of eventsTowards(state.stage, fate)) {
      state = nextRedirectState(state, { kind, reason: "" } as RedirectEvent);
    }
    if (before === "retired" || before === "draining") assert.equal(state.stage, before);
    else if (fate === "stays") assert.equal(state.stage, "bound");
    else if (fate === "arrived") assert.equal(state.stage, "draining");
    else if (fate === "switched") assert.equal(state.stage, "redirecting");
    // Caught up once, there is nothing to catch up with.
    assert.deepEqual(eventsTowards(state.stage, fate), []);
  }));
});

Deno.test("a failure never hides where the redirect is, and its end needs the rules to be gone", () => {
  fc.assert(fc.property(history, (events) => {
    const state = replayRedirect(events);
    const failed = nextRedirectState(state, { kind: "failed", problem: "busy" });
    assert.equal(failed.stage, state.stage);
    assert.equal(shownState(failed), "failed");
    assert.ok(!redirectEnded(failed));
    assert.equal(shownState(nextRedirectState(failed, { kind: "settled" })), state.stage);
  }));
});

Deno.test("what the table does not allow is refused, in every stage", () => {
  const reach: Record<Stage, RedirectEvent["kind"][]> = {
    bound: [],
    prepared: ["preparing"],
    redirecting: ["preparing", "switched"],
    draining: ["preparing", "switched", "arrived"],
    retired: ["preparing", "switched", "arrived", "retiring"],
  };
  for (const stage of STAGES) {
    const state = replayRedirect(reach[stage].map((kind) => ({ kind }) as RedirectEvent));
    assert.equal(state.stage, stage);
    for (
      const kind of [
        "preparing",
        "switched",
        "unswitched",
        "arrived",
        "retiring",
        "undone",
      ] as const
    ) {
      const next = () => nextRedirectState(state, { kind } as RedirectEvent).stage;
      const table: Partial<Record<string, Stage>> = REDIRECT_TRANSITIONS[stage];
      if (table[kind]) assert.equal(next(), table[kind]);
      else assert.throws(next, /no .* now/);
    }
  }
});
