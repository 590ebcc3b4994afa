import assert from "node:assert/strict";
import { LinkWorld } from "../testing/link_world.ts";
import { migrationIdText } from "../wire/migration_id.ts";
import type { PathProbe, ProbeOptions } from "./peer_link.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xa1));
const RATE = 4e6;

/** A link of 4 MB/s that is up, and what the destination noticed of it. */
async function upWorld(): Promise<{ world: LinkWorld; received: Map<string, number> }> {
  const world = new LinkWorld({ bytesPerSecond: RATE, delayMs: 20 });
  const received = new Map<string, number>();
  world.accept(["memory", "disk"], (id, _kind, payload) => {
    received.set(id, (received.get(id) ?? 0) + payload.byteLength);
  });
  await world.clock.advance(500);
  assert.equal(world.source.state, "up");
  return { world, received };
}

async function probe(world: LinkWorld, options?: ProbeOptions): Promise<PathProbe> {
  return await world.clock.until(world.source.probePath(options), 10_000);
}

const within = (value: number | null, expected: number, ratio: number) =>
  assert.ok(
    value !== null && Math.abs(value / expected - 1) <= ratio,
    `${value}, expected ${expected}`,
  );

Deno.test("a probe finds what the path carries in a second, and the peer notices nothing", async () => {
  const { world, received } = await upWorld();
  const seen = await probe(world);
  assert.equal(seen.source, "filler");
  assert.equal(seen.isSettled, true);
  assert.ok(seen.seconds < 1.2, `${seen.seconds} s`);
  assert.ok(seen.sentBytes < 1.3 * RATE, `${seen.sentBytes}`);
  within(seen.goodputBytesPerSecond, RATE, 0.05);
  within(seen.goodputRange!.low, RATE, 0.1);
  within(seen.goodputRange!.high, RATE, 0.1);
  assert.equal(seen.roundTripMs, 40);
  assert.equal(received.size, 0);
  await world.clock.advance(100);
  const before = world.pair.a.deliveredBytes;
  await world.clock.advance(5_000);
  assert.ok(world.pair.a.deliveredBytes - before < 64 * 1024, "and after it nothing more is sent");
  await world.close();
});

Deno.test("probes keep to their bytes and to the link's cap, and two are one", async () => {
  const { world } = await upWorld();
  const short = await probe(world, { bytesMax: 100_000 });
  assert.equal(short.isSettled, false);
  assert.ok(short.sentBytes > 50_000 && short.sentBytes <= 100_000, `${short.sentBytes}`);
  world.source.setRateLimit(1e6);
  const capped = world.source.probePath();
  assert.equal(world.source.probePath(), capped);
  within((await world.clock.until(capped, 10_000)).goodputBytesPerSecond, 1e6, 0.1);
  await world.close();
});

Deno.test("beside a move a probe sends nothing and tells what the move gets", async () => {
  const { world } = await upWorld();
  const memory = world.source.channel(ID, "memory");
  let stopped = false;
  const moving = (async () => {
    while (!stopped) await memory.send(16, new Uint8Array(50_000));
  })();
  await world.clock.advance(1_000);
  const { source, sentBytes, seconds, goodputBytesPerSecond } = await probe(world);
  assert.deepEqual({ source, sentBytes }, { source: "moves", sentBytes: 0 });
  assert.ok(seconds <= 1.1);
  within(goodputBytesPerSecond, RATE, 0.05);
  stopped = true;
  await world.clock.until(moving, 5_000);
  await world.close();
});

Deno.test("a move that begins during a probe has the link from its first frame on", async () => {
  const { world, received } = await upWorld();
  const probing = world.source.probePath({ secondsMax: 3 });
  await world.clock.advance(300);
  const memory = world.source.channel(ID, "memory");
  for (let i = 0; i < 80; i++) void memory.send(16, new Uint8Array(50_000)).catch(() => {});
  await world.clock.advance(500);
  // 20 ms of way, and what is left of one record of filler.
  within(received.get(ID)!, RATE * 0.48 - 50_000, 0.05);
  const { source, sentBytes } = await world.clock.until(probing, 10_000);
  assert.equal(source, "moves");
  assert.ok(sentBytes < 0.4 * RATE, `${sentBytes}`);
  await world.close();
});

Deno.test("without a connection everything is unknown; one that is lost ends the probe", async () => {
  const down = new LinkWorld();
  down.dialsHang = true;
  const unknown = await probe(down);
  assert.equal(unknown.goodputBytesPerSecond, null);
  assert.equal(unknown.roundTripMs, null);
  assert.equal(unknown.seconds, 0);
  await down.close();
  const { world } = await upWorld();
  world.dialsHang = true;
  const probing = world.source.probePath();
  await world.clock.advance(200);
  world.pair.cut("test");
  const { seconds, isSettled } = await world.clock.until(probing, 1_000);
  assert.ok(seconds < 0.4 && !isSettled);
  await world.close();
});

Deno.test("a probe that nobody waits for any more stops sending", async () => {
  const { world } = await upWorld();
  const abort = new AbortController();
  const probing = world.source.probePath({ signal: abort.signal });
  await world.clock.advance(100);
  abort.abort();
  await assert.rejects(probing, { name: "AbortError" });
  await world.clock.advance(100);
  const before = world.pair.a.deliveredBytes;
  await world.clock.advance(1_000);
  assert.ok(world.pair.a.deliveredBytes - before < 16 * 1024);
  await world.close();
});
