import assert from "node:assert/strict";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { Interrupt } from "../interrupt.ts";
import type { Move } from "./move.ts";
import { trySwitch } from "./switchover.ts";

/** As much of a move as a switch of a machine without disks uses until its last check. */
function moveOf(calls: string[]): Move {
  const interrupt = new Interrupt();
  const source = {
    pauseAtGate: () => {
      calls.push("pause");
      return Promise.resolve({ pausedAtMs: 0 });
    },
  };
  return {
    interrupt,
    pump: { source },
    names: null,
    planner: {},
    description: { disks: [] },
    sent: { repairIsDue: false },
    round: 1,
    wasRunning: true,
    publish: () => {},
    whilePumping: <T>(promise: Promise<T>) => promise,
    deps: {
      clock: new VirtualClock(),
      journal: { write: () => {} },
      draft: { beginRound: () => ({}), disk: {} },
      options: { maxDowntimeMs: 300 },
      link: { path: () => ({ silentMs: 0 }) },
      guest: {
        source: {
          beginDiskRound: () => {
            calls.push("last round");
            return Promise.resolve([]);
          },
        },
      },
    },
  } as unknown as Move;
}

Deno.test("a cap on the machine's disks holds until it stands still, and is gone at the gate", async () => {
  const calls: string[] = [];
  const over = new Error("as far as this goes");
  await assert.rejects(
    trySwitch(moveOf(calls), false, {
      easeDisks: () => {
        calls.push("ease");
        return Promise.resolve();
      },
      checkAtGate: () => {
        calls.push("check");
        return Promise.reject(over);
      },
    }),
    over,
  );
  assert.deepEqual(calls, ["pause", "last round", "ease", "check"]);
});
