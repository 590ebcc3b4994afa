import assert from "node:assert/strict";
import type { Anchor, Fault, FaultKind } from "../../src/testing/simulation/fault_plan.ts";
import { PLAIN_SHAPE } from "../../src/testing/simulation/shape.ts";
import { simulate, type WorldOptions } from "../../src/testing/simulation/world.ts";

/**
 * What seeds of the simulator have found, each reduced to the faults that it takes and anchored at
 * what happens, so that it stays what it is when seeds come to mean something else.
 */
async function survives(
  kinds: readonly string[],
  plan: readonly Fault[],
  options: Partial<WorldOptions> = {},
): Promise<ReadonlyMap<string, number>> {
  const { violation, counts, lines } = await simulate({
    seed: 1,
    shape: PLAIN_SHAPE,
    plan,
    ...options,
  });
  assert.equal(violation, null, [...lines, JSON.stringify(violation)].join("\n"));
  for (const kind of kinds) assert.ok(counts.has(kind), `${kind} never happened`);
  return counts;
}

function fault(kind: FaultKind, anchor: Anchor, more: Partial<Fault> = {}): Fault {
  return { number: 0, kind, anchor, delayMs: 0, site: "b", lastsMs: 1_000, ...more };
}

function write(site: "a" | "b", name: string, phase: "before" | "after" = "after"): Anchor {
  return { at: "write", site, name, phase, nth: 1 };
}

Deno.test("a move whose start cannot be recorded at the source leaves no claim at the destination", async () => {
  await survives(["fault ledgerFails", "moved at the end"], [
    fault("ledgerFails", write("b", "created"), { site: "a", lastsMs: 2_000 }),
  ]);
});

Deno.test("a destination that restarts without its machine hears the verdict on it", async () => {
  await survives(["fault powerLoss", "verdict at the end"], [
    fault("powerLoss", {
      at: "call",
      site: "b",
      name: "destination.start",
      phase: "after",
      nth: 1,
    }),
  ]);
});

Deno.test("progress does not go back when the source restarts behind its hand-over", async () => {
  await survives(["fault crash", "source handedOver"], [
    fault("crash", write("a", "handoverWritten"), { site: "a", delayMs: 12 }),
  ]);
});

Deno.test("progress at the destination does not go back when the source restarts while it copies", async () => {
  const slow = { ...PLAIN_SHAPE.sites.a, groupMs: 60 };
  const anchor: Anchor = { at: "call", site: "a", name: "memory.items", phase: "after", nth: 12 };
  await survives(["fault crash"], [fault("crash", anchor, { site: "a" })], {
    shape: { ...PLAIN_SHAPE, sites: { a: slow, b: slow } },
  });
});

Deno.test("a destination that cannot see its machine end says so at the source", async () => {
  const told: string[] = [];
  await survives(["fault powerLoss", "report inDoubt"], [
    fault("powerLoss", write("b", "handoverReceived"), { lastsMs: 200 }),
  ], { tell: (line) => told.push(line) });
  assert.ok(told.some((line) => /a source says inDoubt "b refuses the machine/.test(line)));
});

Deno.test("a word to switch given before memory is copied does not make the next one unheard", async () => {
  const options = { maxDowntimeMs: 1 };
  const operator = { ...PLAIN_SHAPE.operator, options, movesAtEnd: false };
  const read: Anchor = { at: "call", site: "a", name: "round.read", phase: "after", nth: 1 };
  const counts = await survives(["fault switchover", "source completed"], [
    fault("switchover", read, { lastsMs: 0 }),
  ], { shape: { ...PLAIN_SHAPE, operator } });
  assert.equal(counts.get("source completed"), 1);
});

Deno.test("a machine started behind the monitor of one that is gone can be moved to", async () => {
  await survives(["fault fencedVerdict", "started again at the end", "moved at the end"], [
    fault("fencedVerdict", write("b", "owned")),
  ]);
});
