import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { type LinkLimits, PeerRegistry } from "./peers.ts";

async function registry(limits?: LinkLimits): Promise<PeerRegistry> {
  const peers = new PeerRegistry({
    clock: new VirtualClock(),
    incarnation: "i",
    readPeers: () => Promise.resolve([{ name: "east", address: null, fingerprint: "sha256:0" }]),
    onLink: () => {},
    audit: () => {},
    limits,
  });
  await peers.reload();
  return peers;
}

Deno.test("PeerRegistry caps each link as configured, until told otherwise", async () => {
  const peers = await registry({ linkBytesPerSecond: 5_000, unacknowledgedBytesMax: 4_194_304 });
  assert.equal(peers.views()[0].rateBytesPerSecond, 5_000);
  peers.setRate("east", null);
  assert.equal(peers.views()[0].rateBytesPerSecond, null);
  await peers.close();
});

Deno.test("PeerRegistry caps nothing without limits", async () => {
  const peers = await registry();
  assert.equal(peers.views()[0].rateBytesPerSecond, null);
  await peers.close();
});

Deno.test("PeerRegistry gives its links the configured window", async () => {
  // Too small for two frames: the session itself says so, which shows that it was asked.
  await assert.rejects(
    registry({ linkBytesPerSecond: null, unacknowledgedBytesMax: 1 }),
    /unacknowledgedBytesMax/,
  );
});
