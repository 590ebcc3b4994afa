import assert from "node:assert/strict";
import { PathSender } from "./path_sender.ts";

const CHUNK_BYTES = 2_800;
const PACKET_BYTES = 3_000;

/** Sends for so long whenever the cap allows, looking every ms; bytes on the wire in each 100 ms. */
function sendCapped(path: PathSender, fromMs: number, toMs: number): number[] {
  const sent: number[] = [];
  for (let nowMs = fromMs; nowMs < toMs; nowMs++) {
    if ((nowMs - fromMs) % 100 === 0) sent.push(0);
    while (path.capWaitMs(nowMs) <= 0) {
      path.sent(CHUNK_BYTES, 0, nowMs, PACKET_BYTES);
      sent[sent.length - 1] += PACKET_BYTES;
    }
  }
  return sent;
}

Deno.test("a cap spreads bytes on the wire evenly, and a change of it holds at once", () => {
  const path = new PathSender();
  for (const [at, cap] of [2e6, 200_000, 5e6].entries()) {
    path.setCap(cap, 1_000 * at);
    const sent = sendCapped(path, 1_000 * at, 1_000 * (at + 1));
    for (const bytes of sent) {
      assert.ok(Math.abs(bytes - cap / 10) <= 2.5 * PACKET_BYTES, `${bytes} at ${cap}`);
    }
  }
  path.setCap(null, 3_000);
  assert.equal(path.capWaitMs(3_000), 0);
});

Deno.test("an idle minute is worth some ms of a cap", () => {
  const path = new PathSender();
  path.setCap(1e6, 0);
  sendCapped(path, 0, 100);
  const [first] = sendCapped(path, 60_000, 60_100);
  assert.ok(first < 160_000, `${first} in 100 ms`);
});
