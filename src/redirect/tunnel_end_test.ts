import assert from "node:assert/strict";
import { addressOf, TunnelEnd } from "./tunnel_end.ts";

function packetV4(from: string, to: string, bytes = 20): Uint8Array {
  const packet = new Uint8Array(bytes);
  packet[0] = 0x45;
  packet.set(from.split(".").map(Number), 12);
  packet.set(to.split(".").map(Number), 16);
  return packet;
}

const MACHINE = "10.1.0.5";
const CLIENT = "192.0.2.9";

function end(side: "old" | "new", keptBytesMax = 100) {
  const sent = { site: [] as number[], peer: [] as number[], machine: [] as number[] };
  const clock = { nowMs: 0 };
  const tunnel = new TunnelEnd(
    side,
    [MACHINE],
    {
      toSite: (packet) => sent.site.push(packet.length) > 0,
      toMachine: (packet) => void sent.machine.push(packet.length),
      toPeer: (packet) => sent.peer.push(packet.length) > 0,
    },
    keptBytesMax,
    () => clock.nowMs,
  );
  return { tunnel, sent, clock };
}

Deno.test("packets for the machine wait in order while it stands still, then go where it runs", () => {
  for (const to of ["peer", "site"] as const) {
    const { tunnel, sent } = end("old");
    for (const bytes of [20, 30, 40]) tunnel.fromSite(packetV4(CLIENT, MACHINE, bytes));
    assert.deepEqual(sent, { site: [], peer: [], machine: [] });
    tunnel.release(to);
    assert.deepEqual(sent[to], [20, 30, 40]);
    tunnel.release(to);
    assert.equal(sent[to].length, 3);
    assert.equal(tunnel.traffic().keptBytes, 90);
  }
});

Deno.test("what has no room is dropped and counted, and the oldest are kept", () => {
  const { tunnel, sent } = end("old", 70);
  for (const bytes of [20, 50, 21]) tunnel.fromSite(packetV4(CLIENT, MACHINE, bytes));
  tunnel.mode = "pass";
  tunnel.release("peer");
  tunnel.fromSite(packetV4(CLIENT, MACHINE, 22));
  assert.deepEqual(sent.peer, [20, 50, 22]);
  const { keptPackets, droppedPackets, addresses } = tunnel.traffic();
  assert.deepEqual([keptPackets, droppedPackets, addresses[0].toMachinePackets], [2, 1, 4]);
});

Deno.test("what the machine may not have taken before it stood is kept, what it has taken is not", () => {
  const { tunnel, sent, clock } = end("old");
  tunnel.mode = "deliver";
  for (const [atMs, bytes] of [[0, 20], [50, 21], [100, 22]]) {
    clock.nowMs = atMs;
    tunnel.fromSite(packetV4(CLIENT, MACHINE, bytes));
  }
  clock.nowMs = 110;
  tunnel.mode = "keep";
  tunnel.fromSite(packetV4(CLIENT, MACHINE, 23));
  tunnel.mode = "pass";
  tunnel.release("peer");
  assert.deepEqual(sent, { site: [], machine: [20, 21, 22], peer: [21, 22, 23] });
});

Deno.test("only packets of the machine's addresses pass, in their direction, whoever sends them", () => {
  const old = end("old");
  old.tunnel.mode = "pass";
  old.tunnel.fromSite(packetV4(CLIENT, "10.1.0.6"));
  old.tunnel.fromSite(packetV4(MACHINE, CLIENT));
  // A peer must not speak for other machines of the old site.
  old.tunnel.fromPeer(packetV4("10.1.0.6", CLIENT));
  old.tunnel.fromPeer(new Uint8Array(3));
  assert.deepEqual(old.sent, { site: [], peer: [], machine: [] });
  old.tunnel.fromPeer(packetV4(MACHINE, CLIENT));
  assert.equal(old.sent.site.length, 1);
  const there = end("new");
  there.tunnel.fromPeer(packetV4(CLIENT, "10.2.0.9"));
  there.tunnel.fromSite(packetV4("10.2.0.9", CLIENT));
  assert.deepEqual(there.sent, { site: [], peer: [], machine: [] });
  there.tunnel.fromPeer(packetV4(CLIENT, MACHINE));
  there.tunnel.fromSite(packetV4(MACHINE, CLIENT));
  assert.deepEqual([there.sent.site.length, there.sent.peer.length], [1, 1]);
});

Deno.test("addressOf() reads both families and nothing else", () => {
  const v6 = new Uint8Array(40);
  v6[0] = 0x60;
  v6[8] = 0xfd;
  v6[39] = 7;
  assert.equal(addressOf(v6, "from"), "fd00::");
  assert.equal(addressOf(v6, "to"), "::7");
  assert.equal(addressOf(v6.subarray(0, 39), "to"), null);
  assert.equal(addressOf(Uint8Array.of(0x50), "to"), null);
});
