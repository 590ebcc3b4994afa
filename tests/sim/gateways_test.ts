import assert from "node:assert/strict";
import type { BatchResult } from "../../src/testing/simulation/batch.ts";
import { Farm } from "../../src/testing/simulation/farm.ts";
import { FAULT_KINDS } from "../../src/testing/simulation/fault_plan.ts";
import { simulate } from "../../src/testing/simulation/world.ts";
import { commandOf } from "./command.ts";

/** A smoke share; `deno task sim` runs as many as asked for. */
const SEEDS = 400;
const WORKERS = 2;

/** What a run comes through, by the names that it is counted under. */
const REACHED = {
  source: [
    ...["preparing", "copying", "switching", "handedOver", "retiring", "undoing"],
    ...["completed", "failed", "cancelled", "seeded"],
  ],
  destination: [
    ...["accepted", "receiving", "taking", "owning", "running"],
    ...["refused", "abandoned", "conflict"],
  ],
  report: [
    ...["preparing", "copying", "holding", "switching", "inDoubt", "conflict"],
    ...["completed", "failed", "cancelled", "seeded", "rolledBack"],
  ],
  event: ["switchUndone", "refusedByPeer", "adjudicated", "conflicted"],
  error: [
    ...["gateway_restarted", "peer_restarted", "handover_refused", "guest_gone"],
    ...["guest_unreachable", "memory_stream_failed", "disk_full", "disk_io"],
    "ledger_write_failed",
  ],
  strategy: ["precopy", "stop-and-copy", "seed", "rollback"],
  call: ["source.throttleDisks", "memory.throttleCpu"],
  fault: FAULT_KINDS,
};

let result: BatchResult | null = null;

async function seeds(): Promise<BatchResult> {
  if (result === null) {
    using farm = new Farm(WORKERS);
    result = await farm.run({ firstSeed: 1, seeds: SEEDS });
  }
  return result;
}

Deno.test("two whole gateways keep every rule in simulated worlds, and every move ends", async () => {
  const { broken } = await seeds();
  const told = broken.map(({ seed, rule, detail, lines }) =>
    [...lines, `seed ${seed}: ${rule}: ${detail}`, `  ${commandOf(seed)}`].join("\n")
  );
  assert.equal(broken.length, 0, told.join("\n\n"));
});

Deno.test("the seeds inject every kind of fault, and come through every state and end", async () => {
  const { counts } = await seeds();
  const missing = Object.entries(REACHED).flatMap(([group, names]) =>
    names.map((name) => `${group} ${name}`).filter((name) => !counts[name])
  );
  assert.deepEqual(missing, []);
});

Deno.test("a seed means the same each time", async () => {
  const lines: [string[], string[]] = [[], []];
  for (const told of lines) await simulate({ seed: 7, tell: (line) => told.push(line) });
  assert.ok(lines[0].length > 20);
  assert.deepEqual(lines[0], lines[1]);
});
