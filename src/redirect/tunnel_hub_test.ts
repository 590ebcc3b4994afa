import assert from "node:assert/strict";
import type { PacketLane } from "../link/peer_link.ts";
import { TunnelHub, tunnelNumber } from "./tunnel_hub.ts";

/** A lane whose packets a test carries over by hand. */
function lane(bytesMax: number) {
  const sent: Uint8Array[] = [];
  let handler: (packet: Uint8Array) => void = () => {};
  const packets: PacketLane = {
    bytesMax,
    send: (packet) => sent.push(packet) > 0,
    receive: (listener) => void (handler = listener),
  };
  return { packets, sent, arrive: (packet: Uint8Array) => handler(packet) };
}

Deno.test("packets of any length cross a link that takes short ones, each in its own tunnel", () => {
  const [a, b] = [lane(100), lane(100)];
  const [here, there] = [new TunnelHub(), new TunnelHub()];
  here.addLink({ peerName: "b", packets: a.packets });
  there.addLink({ peerName: "a", packets: b.packets });
  const heard: string[] = [];
  for (const number of [1, 2]) {
    there.open("a", number, (packet) => heard.push(`${number}: ${packet.length}`));
  }
  const tunnels = [1, 2].map((number) => here.open("b", number, () => {}));
  assert.ok(tunnels[0].send(new Uint8Array(1_500)));
  assert.ok(tunnels[1].send(new Uint8Array(40)));
  assert.ok(a.sent.every((packet) => packet.length <= 100));
  a.sent.toReversed().forEach((packet) => b.arrive(packet));
  assert.deepEqual(heard, ["2: 40", "1: 1500"]);
});

Deno.test("another peer cannot speak in a tunnel, and a closed one hears nothing", () => {
  const [b, c] = [lane(2_000), lane(2_000)];
  const hub = new TunnelHub();
  hub.addLink({ peerName: "b", packets: b.packets });
  hub.addLink({ peerName: "c", packets: c.packets });
  let heard = 0;
  const tunnel = hub.open("b", 7, () => heard++);
  tunnel.send(new Uint8Array(20));
  const [packet] = b.sent;
  c.arrive(packet);
  b.arrive(new Uint8Array(3));
  assert.equal(heard, 0);
  b.arrive(packet);
  assert.equal(heard, 1);
  tunnel.close();
  b.arrive(packet);
  assert.equal(heard, 1);
  assert.equal(hub.open("d", 8, () => {}).send(new Uint8Array(20)), false);
});

Deno.test("both sites find the same number for a move", () => {
  const ids = Array.from({ length: 1_000 }, () => crypto.randomUUID());
  assert.equal(new Set(ids.map(tunnelNumber)).size, ids.length);
  assert.equal(tunnelNumber("a"), 0xe40c292c);
});
