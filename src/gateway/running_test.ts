import assert from "node:assert/strict";
import type { Ledger } from "../ledger/ledger.ts";
import { type Arrival, RunningMigrations } from "./running.ts";

function arrival(id: string, peer: string) {
  const actor = { ended: false, state: { kind: "receiving" } };
  const stored = { id, guestId: "g", side: "destination", peer, options: {}, createdAt: "" };
  return { actor, entry: { side: "destination", stored, actor } as unknown as Arrival };
}

/** What is settled already, once everything that can go on has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

Deno.test("an offer waits for the end of the same peer's last try, and for nothing else", async () => {
  const running = new RunningMigrations({} as Ledger);
  const { actor, entry } = arrival("m-1", "a");
  running.add(entry);
  const never = new AbortController().signal;
  assert.equal(await isSettled(running.whenEarlierEnded("h", "a", never)), true);
  assert.equal(await isSettled(running.whenEarlierEnded("g", "b", never)), true);
  const waiting = running.whenEarlierEnded("g", "a", never);
  running.changed();
  assert.equal(await isSettled(waiting), false);
  actor.ended = true;
  running.changed();
  await waiting;
  running.claim("g");
});

Deno.test("an offer that waited for too long is refused as one of a machine that moves", async () => {
  const running = new RunningMigrations({} as Ledger);
  running.add(arrival("m-1", "a").entry);
  const limit = new AbortController();
  const waiting = running.whenEarlierEnded("g", "a", limit.signal);
  limit.abort();
  await waiting;
  assert.throws(() => running.claim("g"), { code: "guest_moving" });
});
