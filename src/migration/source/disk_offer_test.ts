import assert from "node:assert/strict";
import { endOfOffer, offerBlocks } from "../../codec/disk_offer.ts";
import { BLOCK_BYTES } from "../../image/block_digest.ts";
import { BLOCK_KNOWN, BlockMap } from "../../image/block_map.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { Changes } from "../changes.ts";
import { Interrupt } from "../interrupt.ts";
import { takeDiskOffer } from "./disk_offer.ts";
import { DiskPlanner } from "./disk_planner.ts";
import type { Move } from "./move.ts";

type Handler = (frame: { type: number; payload: Uint8Array }) => Promise<void>;

/** As much of a move as waits for an offer; `frame` is what the peer sends. */
function waiting(diskOffer: boolean) {
  let handler: Handler = () => Promise.reject(new Error("nobody listens"));
  const move = {
    courier: { diskOffer },
    planner: new DiskPlanner([4 * BLOCK_BYTES]),
    interrupt: new Interrupt(),
    changes: new Changes(),
    deps: { draft: { phase: "" } },
    diskChannel: { receive: (heard: Handler) => handler = heard },
    publish: () => {},
  };
  const taken = takeDiskOffer(move as unknown as Move);
  taken.catch(() => {});
  const frame = (payload: Uint8Array, type: number = FRAME_TYPES.diskOffer) =>
    handler({ type, payload });
  return { move, taken, frame };
}

Deno.test("an offer is waited for to its end, and only where there is one", async () => {
  await waiting(false).taken;
  const { move, taken, frame } = waiting(true);
  const map = new BlockMap(4 * BLOCK_BYTES);
  map.setDigest(2, new Uint32Array(4).fill(5));
  for (const payload of offerBlocks(0, map)) await frame(payload);
  assert.equal(await Promise.race([taken.then(() => "taken"), Promise.resolve("waits")]), "waits");
  await frame(endOfOffer(0, map));
  await taken;
  assert.equal(move.planner.maps[0]!.stateOf(2), BLOCK_KNOWN);
});

Deno.test("an offer that cannot be read ends the move, by name", async () => {
  const damaged = waiting(true);
  await damaged.frame(Uint8Array.of(9, 9, 9));
  await assert.rejects(damaged.taken, { code: "batch_invalid" });
  const foreign = waiting(true);
  await foreign.frame(new Uint8Array(0), FRAME_TYPES.diskBatch);
  await assert.rejects(foreign.taken, { code: "frame_invalid" });
});

Deno.test("a cancel ends the wait for an offer", async () => {
  const { move, taken } = waiting(true);
  move.interrupt.raise(new Error("cancelled"));
  await assert.rejects(taken, /cancelled/);
});
