import assert from "node:assert/strict";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { migrationOptions } from "../options.ts";
import { answerQuestion } from "./answering.ts";
import { ReportDraft } from "./draft.ts";
import type { SourceState } from "./state.ts";

const COPYING: SourceState = { kind: "copying" };
const ENDS: SourceState[] = [
  { kind: "handedOver", epoch: 2, run: true, pausedAtWallMs: null },
  { kind: "completed", downtimeMs: 5 },
  { kind: "cancelled" },
  { kind: "failed", error: { code: "x", message: "x", hint: "x" } },
  { kind: "undoing", end: { kind: "cancelled" } },
];
const FORECAST = {
  downtimeMs: 412.4,
  budgetedMs: 372.5,
  transferMs: 282.5,
  workMs: 90,
  pathMs: 39.9,
  wireBytes: 706_250.7,
};

function setUp(options: Record<string, unknown> = {}) {
  const clock = new VirtualClock(Date.UTC(2026, 0, 1));
  const wishes = migrationOptions.parse(options);
  const draft = new ReportDraft({ id: "m", guest: "web", from: "a", to: "b" }, wishes, clock);
  const link = { state: "up" as const, path: () => ({ silentMs: 0 }) as never };
  const wireBytes = { memory: 0, disk: 0, control: 0, total: 0 };
  const render = (state = COPYING) => draft.render(state, false, { ...link, wireBytes });
  const move = { answer: null, deps: { draft, options: wishes, id: "m" } };
  return { clock, wishes, draft, render, move };
}

Deno.test("a report has nothing foreseen, taken or asked before anything is known", () => {
  const { forecast, leadMs, convergence, throttle, question, rateBytesPerSecond } = setUp()
    .render();
  assert.deepEqual({ forecast, leadMs, convergence, throttle, question, rateBytesPerSecond }, {
    forecast: null,
    leadMs: null,
    convergence: null,
    throttle: { diskBytesPerSecond: null, cpuShare: null },
    question: null,
    rateBytesPerSecond: null,
  });
});

Deno.test("a forecast is shown in whole figures, and not at all where it has no bound", () => {
  const { draft, render } = setUp();
  draft.forecast = FORECAST;
  draft.leadMs = 1_234.5;
  const { forecast, leadMs } = JSON.parse(JSON.stringify(render()));
  assert.deepEqual(forecast, {
    downtimeMs: 412,
    budgetedMs: 373,
    transferMs: 283,
    workMs: 90,
    pathMs: 40,
    wireBytes: 706_251,
  });
  assert.equal(leadMs, 1_235);
  draft.forecast = { ...FORECAST, transferMs: Infinity, downtimeMs: Infinity };
  draft.leadMs = Infinity;
  assert.equal(render().forecast, null);
  assert.equal(render().leadMs, null);
});

Deno.test("the cap shown is that of the wish until something else is in force", () => {
  const fixed = { policy: "fixed", bytesPerSecond: 7_000 };
  assert.equal(setUp({ rate: fixed }).render().rateBytesPerSecond, 7_000);
  const { draft, render } = setUp({ rate: { policy: "fair", maxBytesPerSecond: 9_000 } });
  assert.equal(render().rateBytesPerSecond, null);
  draft.rateBytesPerSecond = 4_000;
  assert.equal(render().rateBytesPerSecond, 4_000);
  assert.deepEqual(render().rate, { policy: "fair", maxBytesPerSecond: 9_000 });
});

Deno.test("a question says who needs what and why, and keeps the time it was first asked at", async () => {
  const { draft, render, clock } = setUp({ maxDowntimeMs: 300 });
  draft.ask({ kind: "budget", wantedDowntimeMs: 900 }, "it writes 9 MB/s");
  await clock.advance(60_000);
  draft.ask({ kind: "budget", wantedDowntimeMs: 1_200 }, "it writes 12 MB/s");
  assert.deepEqual(render().question, {
    kind: "budget",
    askedAt: "2026-01-01T00:00:00.000Z",
    wantedDowntimeMs: 1_200,
    text: "May web pause for 1200 ms instead of 300? it writes 12 MB/s",
  });
  draft.withdrawQuestion();
  assert.equal(render().question, null);
  draft.ask({ kind: "budget", wantedDowntimeMs: 900 }, "again");
  assert.equal(render().question?.askedAt, "2026-01-01T00:01:00.000Z");
});

Deno.test("what has been handed over or has ended asks and takes nothing any more", () => {
  const { draft, render } = setUp();
  draft.ask({ kind: "budget", wantedDowntimeMs: 900 }, "why");
  draft.throttle = { diskBytesPerSecond: 1_000, cpuShare: 0.5 };
  draft.leadMs = 5;
  draft.convergence = { verdict: "notConverging", reason: "it writes faster" };
  draft.forecast = FORECAST;
  assert.equal(render().throttle.cpuShare, 0.5);
  for (const state of ENDS) {
    const report = render(state);
    assert.deepEqual([report.question, report.leadMs], [null, null], state.kind);
    assert.deepEqual(report.throttle, { diskBytesPerSecond: null, cpuShare: null }, state.kind);
    // What was thought at the end explains it.
    assert.equal(report.convergence?.verdict, "notConverging");
    assert.equal(report.forecast?.downtimeMs, 412);
  }
});

Deno.test("a pause that is granted is the budget: what was asked for, or another figure", () => {
  const cases = [
    [{ accept: true }, 900],
    [{ accept: true, maxDowntimeMs: 600 }, 600],
    [{ accept: false }, 300],
  ] as const;
  for (const [answer, budgetMs] of cases) {
    const { draft, move, wishes, render } = setUp({ maxDowntimeMs: 300 });
    draft.ask({ kind: "budget", wantedDowntimeMs: 900 }, "why");
    answerQuestion(move, answer);
    assert.equal(wishes.maxDowntimeMs, budgetMs);
    assert.deepEqual(move.answer, answer);
    const { question, maxDowntimeMs, decisions } = render();
    assert.deepEqual([question, maxDowntimeMs], [null, budgetMs]);
    const { action, reason, numbers } = decisions.at(-1)!;
    assert.equal(action, "answer");
    assert.match(reason, answer.accept ? /granted/ : /refused/);
    assert.deepEqual(numbers, { wantedDowntimeMs: 900, maxDowntimeMs: budgetMs });
  }
});

Deno.test("an answer to nothing is refused and changes nothing", () => {
  const { move, wishes } = setUp();
  assert.throws(() => answerQuestion(move, { accept: true, maxDowntimeMs: 9_000 }), {
    code: "no_question",
  });
  assert.equal(wishes.maxDowntimeMs, 300);
  assert.equal(move.answer, null);
});

Deno.test("a source that restarted behind its hand-over says that everything was sent", () => {
  const { render } = setUp();
  assert.equal(render().progress, 0);
  const handedOver: SourceState = { kind: "handedOver", epoch: 2, run: true, pausedAtWallMs: null };
  assert.equal(render(handedOver).progress, 0.999);
  assert.equal(render({ kind: "completed", downtimeMs: 5 }).progress, 1);
});
