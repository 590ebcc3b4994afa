import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import type { Carrier } from "../link/carrier.ts";
import { memoryCarrierPair } from "../link/memory_carrier.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { type LinkLimits, PeerRegistry } from "./peers.ts";

const peer = (name: string) => ({ name, address: null, fingerprint: "sha256:0" });
const names = (peers: PeerRegistry) => peers.views().map(({ name }) => name);

async function registry(
  limits?: LinkLimits,
  readPeers = () => Promise.resolve([peer("east")]),
): Promise<PeerRegistry> {
  const peers = new PeerRegistry({
    clock: new VirtualClock(),
    incarnation: "i",
    readPeers,
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
  await peers.setRate("east", null);
  assert.equal(peers.views()[0].rateBytesPerSecond, null);
  await peers.close();
});

Deno.test("PeerRegistry shows the cap that a schedule has now beside the schedule", async () => {
  const peers = await registry();
  const schedule = {
    policy: "schedule" as const,
    // The virtual clock begins at midnight UTC.
    entries: [{ from: "00:00", until: "08:00", bytesPerSecond: 9_000 }],
  };
  await peers.setRate("east", schedule);
  assert.deepEqual(peers.views()[0].rate, schedule);
  assert.equal(peers.views()[0].rateBytesPerSecond, 9_000);
  assert.equal(peers.rate("east"), 9_000);
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

Deno.test("PeerRegistry caps a peer that was trusted a moment ago, and no stranger", async () => {
  let trusted = [peer("east")];
  const peers = await registry(undefined, () => Promise.resolve(trusted));
  trusted = [peer("east"), peer("south")];
  await peers.setRate("south", 7_000);
  assert.equal(peers.views()[1].rateBytesPerSecond, 7_000);
  await assert.rejects(peers.setRate("west", 7_000), { code: "peer_unknown" });
  await peers.close();
});

Deno.test("PeerRegistry shows the peers of the last reading that worked", async () => {
  let reading: () => Promise<ReturnType<typeof peer>[]> = () =>
    Promise.resolve([peer("east"), peer("south")]);
  const peers = await registry(undefined, () => reading());
  reading = () => Promise.reject(new Error("half a file"));
  await assert.rejects(peers.reload(), /half a file/);
  assert.deepEqual(names(peers), ["east", "south"]);
  // An older reading that takes longer comes first all the same.
  const slow = Promise.withResolvers<ReturnType<typeof peer>[]>();
  reading = () => slow.promise;
  const older = peers.reload();
  await Promise.resolve();
  reading = () => Promise.resolve([peer("south")]);
  const newer = peers.reload();
  slow.resolve([peer("east"), peer("north")]);
  await Promise.all([older, newer]);
  assert.deepEqual(names(peers), ["south"]);
  await peers.close();
});

Deno.test("PeerRegistry dials at once for whoever asks, and when the peers were read anew", async () => {
  const clock = new VirtualClock();
  const peers = new PeerRegistry({
    clock,
    incarnation: "i",
    readPeers: () => Promise.resolve([peer("east")]),
    onLink: () => {},
    audit: () => {},
  });
  await peers.reload();
  let dials = 0;
  const refused = new GatewayError("peer_not_trusted", "Cannot connect: not trusted", {
    hint: "Run trust",
  });
  peers.connect({
    address: "none",
    dial: () => (dials++, Promise.reject(refused)),
    onAccept: () => {},
    onRefusal: () => {},
    close: () => Promise.resolve(),
  });
  // 1 + 2 + 4 s and then every 5: the next one is due at 62 s.
  await clock.advance(58_000);
  const before = dials;
  await clock.advance(2_000);
  assert.equal(dials, before, "it is put off");
  await peers.link("east");
  await clock.advance(0);
  assert.equal(dials, before + 1);
  // 1, 2 and 4 s once more: the next one is due 3 s from here.
  await clock.advance(9_000);
  const again = dials;
  await peers.reload();
  await clock.advance(0);
  assert.equal(dials, again + 1);
  assert.equal(peers.views()[0].lastError?.code, "peer_not_trusted");
  await peers.close();
});

Deno.test("PeerRegistry ends connections to a peer that was removed or is another one, and says so", async () => {
  const clock = new VirtualClock();
  let trusted = [peer("east"), peer("south")];
  const audited: [string, unknown][] = [];
  const peers = new PeerRegistry({
    clock,
    incarnation: "i",
    readPeers: () => Promise.resolve(trusted),
    onLink: () => {},
    audit: (kind, body) => audited.push([kind, body.peer]),
  });
  await peers.reload();
  const accept: ((carrier: Carrier) => void)[] = [];
  peers.connect({
    address: "none",
    dial: () => new Promise(() => {}),
    onAccept: (listener) => accept.push(listener),
    onRefusal: () => {},
    close: () => Promise.resolve(),
  });
  for (const peerName of ["east", "south"]) {
    const path = { clock, random: () => 0.5, delayMs: 1, jitterMs: 0, bytesPerSecond: null };
    const theirs = { peerName, peerIncarnation: "theirs" };
    accept[0](memoryCarrierPair(path, theirs, { peerName: "here", peerIncarnation: "i" }).a);
  }
  await clock.advance(10);
  assert.deepEqual(peers.views().map(({ state }) => state), ["up", "up"]);
  await peers.reload();
  assert.deepEqual(peers.views().map(({ state }) => state), ["up", "up"], "nothing has changed");

  trusted = [{ ...peer("east"), fingerprint: "sha256:another" }];
  await peers.reload();
  assert.deepEqual(audited, [["peer_changed", "east"], ["peer_removed", "south"]]);
  assert.deepEqual(peers.views().map(({ name, state }) => `${name} ${state}`), ["east down"]);
  await peers.reload();
  assert.equal(audited.length, 2);
  await peers.close();
});
