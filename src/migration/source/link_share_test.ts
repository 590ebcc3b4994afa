import assert from "node:assert/strict";
import { LinkShare } from "./link_share.ts";

/** A sender that works and waits by turns, for so long each. */
async function spend(share: LinkShare, clock: { atMs: number }, workMs: number, waitMs: number) {
  for (let turn = 0; turn < 400; turn++) {
    clock.atMs += workMs;
    await share.waiting(Promise.resolve().then(() => clock.atMs += waitMs));
  }
}

function shareOf(ahead: number) {
  const clock = { atMs: 0 };
  const share = new LinkShare({ nowMs: () => clock.atMs }, ahead);
  share.begin();
  return { share, clock };
}

Deno.test("while the link is the limit one batch is under way, packed well", async () => {
  const { share, clock } = shareOf(3);
  await spend(share, clock, 5, 5);
  assert.equal(share.batchesAhead, 1);
  assert.equal(share.bottleneck, "link");
});

Deno.test("a CPU that is the limit packs on more cores before it packs less", async () => {
  const { share, clock } = shareOf(3);
  await spend(share, clock, 10, 1);
  assert.equal(share.batchesAhead, 3);
  assert.equal(share.bottleneck, "cpu");
  // Several cores are enough: what is left to the link shows that well packed ones would be as well.
  await spend(share, clock, 4, 6);
  assert.equal(share.batchesAhead, 3);
  assert.equal(share.bottleneck, "link");
  await spend(share, clock, 1, 9);
  assert.equal(share.batchesAhead, 1);
});

Deno.test("with one core only the level changes", async () => {
  const { share, clock } = shareOf(1);
  await spend(share, clock, 10, 1);
  assert.equal(share.bottleneck, "cpu");
  assert.equal(share.batchesAhead, 1);
  // Not before a batch packed well would still leave the link its part.
  await spend(share, clock, 6, 4);
  assert.equal(share.bottleneck, "cpu");
  await spend(share, clock, 4, 6);
  assert.equal(share.bottleneck, "link");
});

Deno.test("time without anything to send counts for neither", async () => {
  const { share, clock } = shareOf(3);
  for (let turn = 0; turn < 100; turn++) {
    clock.atMs += 1000;
    share.begin();
    clock.atMs += 2;
    await share.waiting(Promise.resolve().then(() => clock.atMs += 2));
  }
  assert.equal(share.bottleneck, "link");
  assert.equal(share.batchesAhead, 1);
});
