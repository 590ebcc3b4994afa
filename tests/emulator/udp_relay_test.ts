/** The UDP relay with real sockets on loopback. No assertion has an upper bound on time. */
import assert from "node:assert/strict";
import { parseProfile } from "../../src/emulator/profile.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { type Relay, startRelay } from "../../src/emulator/udp_relay.ts";

const ONE_WAY_MS = 20;

function profileOf(settings: Record<string, unknown> = {}): WanProfile {
  return parseProfile(
    JSON.stringify({
      name: "test",
      description: "test",
      source: "test",
      forward: { rateBitsPerSecond: 100_000_000, delayMs: ONE_WAY_MS, ...settings },
    }),
    "test",
  );
}

/** A UDP socket that remembers what it got; `got(n)` waits for the nth packet. */
class Peer implements AsyncDisposable {
  readonly packets: { bytes: Uint8Array; from: Deno.NetAddr; atMs: number }[] = [];
  readonly socket: Deno.DatagramConn;
  #onPacket = () => {};
  readonly #reading: Promise<void>;

  constructor(readonly echo = false, port = 0) {
    this.socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
    this.#reading = this.#read();
  }

  get address(): string {
    return `127.0.0.1:${(this.socket.addr as Deno.NetAddr).port}`;
  }

  async send(to: string, ...bytes: number[]): Promise<void> {
    const [hostname, port] = to.split(":");
    await this.socket.send(Uint8Array.from(bytes), {
      transport: "udp",
      hostname,
      port: Number(port),
    });
  }

  async got(packetCount: number): Promise<Peer["packets"]> {
    while (this.packets.length < packetCount) {
      await new Promise<void>((resolve) => this.#onPacket = resolve);
    }
    return this.packets;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const [bytes, from] = await this.socket.receive();
        this.packets.push({ bytes, from: from as Deno.NetAddr, atMs: performance.now() });
        if (this.echo) await this.socket.send(bytes, from);
        this.#onPacket();
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
        throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    await this.#reading;
  }
}

async function relayTo(to: string, settings?: Record<string, unknown>) {
  const relay = await startRelay({ profile: profileOf(settings), listen: "127.0.0.1:0", to });
  return Object.assign(relay, { [Symbol.asyncDispose]: () => relay.close() });
}

/** Waits until the relay has seen so many packets of the clients. */
async function offered(relay: Relay, packetCount: number): Promise<void> {
  await until(() => relay.counters().forward.offeredPackets >= packetCount);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

Deno.test("packets pass both ways, each client getting its own answers, after the delay", async () => {
  await using server = new Peer(true);
  await using relay = await relayTo(server.address);
  await using one = new Peer();
  await using two = new Peer();
  const startMs = performance.now();
  await one.send(relay.address, 1, 1, 1);
  await two.send(relay.address, 2);
  const [toOne] = await one.got(1);
  const [toTwo] = await two.got(1);
  assert.deepEqual([...toOne.bytes], [1, 1, 1]);
  assert.deepEqual([...toTwo.bytes], [2]);
  assert.equal(`127.0.0.1:${toOne.from.port}`, relay.address, "answers come from the relay");
  // Each way may leave half a timer's grain early.
  assert(toOne.atMs - startMs >= 2 * ONE_WAY_MS - 1, `${toOne.atMs - startMs} ms`);
  assert.equal(new Set(server.packets.map((packet) => packet.from.port)).size, 2);
  const { forward, backward, flows, inFlightPackets } = relay.counters();
  assert.equal(flows, 2);
  assert.equal(inFlightPackets, 0);
  assert.equal(forward.deliveredBytes, 28 + 3 + 28 + 1);
  assert.equal(backward.deliveredBytes, 28 + 3 + 28 + 1);
});

Deno.test("a burst keeps its order", async () => {
  await using server = new Peer();
  await using relay = await relayTo(server.address);
  await using client = new Peer();
  // Fewer than the kernel's receive buffer holds, so none is lost on a stalled machine.
  for (let i = 0; i < 60; i++) await client.send(relay.address, i);
  const packets = await server.got(60);
  assert.deepEqual(packets.map((packet) => packet.bytes[0]), packets.map((_, index) => index));
});

Deno.test("duplicates arrive twice, losses never, and both are counted", async () => {
  await using server = new Peer();
  await using relay = await relayTo(server.address, { duplicateRatio: 1 });
  await using client = new Peer();
  for (let i = 0; i < 5; i++) await client.send(relay.address, i);
  const packets = await server.got(10);
  assert.deepEqual(packets.map(({ bytes }) => bytes[0]), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
  relay.applyChange({ lossRatio: 1 });
  await client.send(relay.address, 5);
  await offered(relay, 6);
  relay.applyChange({ lossRatio: 0, duplicateRatio: 0 }, "forward");
  await client.send(relay.address, 6);
  assert.equal((await server.got(11))[10].bytes[0], 6);
  const { forward } = relay.counters();
  assert.equal(forward.droppedPackets.loss, 1);
  assert.equal(forward.duplicatedPackets, 5);
  assert.equal(forward.deliveredPackets, 6);
});

Deno.test("cut() loses packets until restore(), outage() ends by itself", async () => {
  await using server = new Peer();
  await using relay = await relayTo(server.address, { delayMs: 0 });
  await using client = new Peer();
  relay.cut("forward");
  await client.send(relay.address, 1);
  await offered(relay, 1);
  relay.restore();
  await client.send(relay.address, 2);
  assert.equal((await server.got(1))[0].bytes[0], 2);
  relay.outage(30, "hold");
  const startMs = performance.now();
  await client.send(relay.address, 3);
  const held = (await server.got(2))[1];
  assert.equal(held.bytes[0], 3);
  assert(held.atMs - startMs >= 28, `${held.atMs - startMs} ms`);
  assert.equal(relay.counters().forward.droppedPackets.outage, 1);
});

Deno.test("setProfile() changes the link and keeps the counters", async () => {
  await using server = new Peer();
  await using relay = await relayTo(server.address);
  await using client = new Peer();
  await client.send(relay.address, 1);
  await server.got(1);
  relay.setProfile(profileOf({ lossRatio: 1 }));
  await client.send(relay.address, 2);
  await offered(relay, 2);
  assert.equal(relay.counters().forward.droppedPackets.loss, 1);
});

Deno.test("a destination that is not there yet does not end the relay", async () => {
  let port: number;
  {
    await using free = new Peer();
    port = Number(free.address.split(":")[1]);
  }
  await using relay = await relayTo(`127.0.0.1:${port}`, { delayMs: 1 });
  await using client = new Peer();
  for (let i = 0; i < 3; i++) await client.send(relay.address, 0);
  await offered(relay, 3);
  await until(() => relay.counters().inFlightPackets === 0);
  await using _server = new Peer(true, port);
  await client.send(relay.address, 7);
  assert.equal((await client.got(1))[0].bytes[0], 7);
});

Deno.test("strangers cannot send into a flow", async () => {
  await using server = new Peer(true);
  await using relay = await relayTo(server.address, { delayMs: 0 });
  await using client = new Peer();
  await client.send(relay.address, 1);
  await client.got(1);
  await using stranger = new Peer();
  const upstreamPort = server.packets[0].from.port;
  await stranger.send(`127.0.0.1:${upstreamPort}`, 66);
  // A packet after it on the same socket shows that the stranger's was read and refused.
  await server.send(`127.0.0.1:${upstreamPort}`, 2);
  const packets = await client.got(2);
  assert.deepEqual(packets.map((packet) => packet.bytes[0]), [1, 2]);
});

Deno.test("a port in use and wrong addresses are refused by name", async () => {
  await using server = new Peer();
  const start = (listen: string, to: string) => startRelay({ profile: profileOf(), listen, to });
  await assert.rejects(start(server.address, "127.0.0.1:9"), (error: Error) => {
    assert.equal((error as { code?: string }).code, "address_in_use");
    assert(error.message.includes(server.address));
    return true;
  });
  for (
    const wrong of ["127.0.0.1", "127.0.0.1:", ":5", "127.0.0.1:65536", "[::1", "[::::]:5", "a b:5"]
  ) {
    await assert.rejects(start("127.0.0.1:0", wrong), { code: "address_invalid" });
  }
  await assert.rejects(start("192.0.2.1:0", server.address), { code: "address_invalid" });
});
