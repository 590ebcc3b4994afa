import assert from "node:assert/strict";
import fc from "fast-check";
import { Random } from "../core/random.ts";
import { LinkWorld } from "../testing/link_world.ts";
import { migrationIdText } from "../wire/migration_id.ts";
import type { Channel } from "./peer_link.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xa1));
const OTHER_ID = migrationIdText(new Uint8Array(16).fill(0xb2));
const MIB = 1024 * 1024;
const SMALL_LIMITS = {
  unacknowledgedBytesMax: MIB,
  payloadBytesMax: 64 * 1024,
  queueBytesMin: 128 * 1024,
};

/** Sends frames for as long as the channel takes them; counts what it took. */
function flood(channel: Channel, payloadBytes: number): { readonly bytes: number; stop(): void } {
  const state = { bytes: 0, stopped: false, stop: () => void (state.stopped = true) };
  void (async () => {
    try {
      while (!state.stopped) {
        await channel.send(16, new Uint8Array(payloadBytes));
        state.bytes += payloadBytes;
      }
    } catch {
      // The link was closed at the end of the test.
    }
  })();
  return state;
}

Deno.test("a slow handler stops its own sender at the limit, and neither control nor disk", async () => {
  const world = new LinkWorld({ limits: SMALL_LIMITS, bytesPerSecond: 50e6 });
  let release = () => {};
  const blocked = new Promise<void>((resolve) => release = resolve);
  const bytes = { memory: 0, disk: 0, control: 0 };
  world.accept(["memory", "disk", "control"], async (_id, kind, payload) => {
    if (kind === "memory") await blocked;
    bytes[kind as keyof typeof bytes] += payload.byteLength;
  });
  const memory = world.source.channel(ID, "memory");
  const memoryFlood = flood(memory, 50_000);
  await world.clock.advance(2_000);
  const { unacknowledgedBytes } = memory;
  assert.ok(unacknowledgedBytes <= MIB / 2 + SMALL_LIMITS.queueBytesMin + 50_000);
  assert.ok(unacknowledgedBytes >= MIB / 2 - 50_000, "half of the window is used");
  await world.clock.advance(2_000);
  assert.equal(memory.unacknowledgedBytes, unacknowledgedBytes, "and nothing more is taken");

  const disk = flood(world.source.channel(ID, "disk"), 50_000);
  const control = world.source.channel(ID, "control");
  await world.clock.until(
    control.send(1, new Uint8Array(10)).then((n) => control.whenAppliedByPeer(n)),
    100,
  );
  await world.clock.advance(1_000);
  assert.ok(bytes.disk > 2 * MIB, `${bytes.disk} disk bytes pass meanwhile`);
  disk.stop();
  memoryFlood.stop();
  release();
  await world.clock.until(memory.whenAppliedByPeer(memory.lastSent), 5_000);
  await world.close();
});

Deno.test("control frames overtake bulk frames that wait for the link", async () => {
  const world = new LinkWorld({ bytesPerSecond: 1e6 });
  world.accept(["memory", "control"], () => {});
  const memory = flood(world.source.channel(ID, "memory"), 250_000);
  await world.clock.advance(3_000);
  const control = world.source.channel(ID, "control");
  const sentAtMs = world.clock.nowMs();
  await world.clock.until(
    control.send(1, new Uint8Array(100)).then((n) => control.whenAppliedByPeer(n)),
  );
  assert.ok(world.clock.nowMs() - sentAtMs < 30, "one round trip, not the 500 ms of the queue");
  memory.stop();
  await world.close();
});

Deno.test("what is parked in front of the link is half a second at 1 MB/s, not the window", async () => {
  const world = new LinkWorld({ bytesPerSecond: 1e6 });
  world.accept(["memory"], () => {});
  const memory = world.source.channel(ID, "memory");
  const sender = flood(memory, 100_000);
  await world.clock.advance(5_000);
  assert.ok(memory.unacknowledgedBytes < 512 * 1024 + 2 * 100_000 + 50_000);
  sender.stop();
  await world.close();
});

Deno.test("a rate cap holds within 3 %, and a change of it within 100 ms", async () => {
  const world = new LinkWorld({ bytesPerSecond: 20e6 });
  let received = 0;
  world.accept(["memory"], (_id, _kind, payload) => void (received += payload.byteLength + 48));
  world.source.setRateLimit(2e6);
  const sender = flood(world.source.channel(ID, "memory"), 50_000);
  await world.clock.advance(2_000);
  /** Bytes per second over `ms`, beginning `settleMs` from now. */
  const measure = async (settleMs: number, ms: number) => {
    await world.clock.advance(settleMs);
    const before = received;
    await world.clock.advance(ms);
    return (received - before) * 1000 / ms;
  };
  const within = (rate: number, cap: number) =>
    assert.ok(Math.abs(rate / cap - 1) < 0.03, `${rate} for a cap of ${cap}`);
  within(await measure(0, 4_000), 2e6);
  world.source.setRateLimit(8e6);
  within(await measure(100, 2_000), 8e6);
  world.source.setRateLimit(1e6);
  within(await measure(100, 5_000), 1e6);
  world.source.setMigrationRateLimit(ID, 0.5e6);
  within(await measure(100, 10_000), 0.5e6);
  world.source.setRateLimit(null);
  world.source.setMigrationRateLimit(ID, null);
  assert.ok(await measure(100, 2_000) > 15e6);
  sender.stop();
  await world.close();
});

Deno.test("migrations share the link equally; what a capped one leaves, the other takes", async () => {
  const world = new LinkWorld({ bytesPerSecond: 4e6 });
  const received = new Map<string, number>();
  world.accept(["memory"], (id, _kind, payload) => {
    received.set(id, (received.get(id) ?? 0) + payload.byteLength);
  });
  // Unequal frames: shares are counted in bytes.
  const senders = [
    flood(world.source.channel(ID, "memory"), 100_000),
    flood(world.source.channel(OTHER_ID, "memory"), 20_000),
  ];
  const shares = async (ms: number) => {
    received.clear();
    await world.clock.advance(ms);
    return [ID, OTHER_ID].map((id) => received.get(id)! * 1000 / ms);
  };
  await world.clock.advance(1_000);
  const [a, b] = await shares(5_000);
  assert.ok(Math.abs(a / b - 1) < 0.05, `${a} and ${b}`);
  world.source.setMigrationRateLimit(ID, 0.5e6);
  await world.clock.advance(200);
  const [capped, rest] = await shares(5_000);
  assert.ok(Math.abs(capped / 0.5e6 - 1) < 0.05, `${capped}`);
  assert.ok(rest > 3.3e6, `${rest}`);
  for (const sender of senders) sender.stop();
  await world.close();
});

Deno.test("a share that changes while machines are copied holds within half a second", async () => {
  const world = new LinkWorld({ bytesPerSecond: 4e6 });
  const received = new Map<string, number>();
  world.accept(["memory", "disk"], (id, _kind, payload) => {
    received.set(id, (received.get(id) ?? 0) + payload.byteLength);
  });
  // A machine with memory and disks against one with memory: kinds make no difference.
  const senders = [
    flood(world.source.channel(ID, "memory"), 60_000),
    flood(world.source.channel(ID, "disk"), 60_000),
    flood(world.source.channel(OTHER_ID, "memory"), 40_000),
  ];
  /** Part of the first machine in what arrives within two seconds, from half a second on. */
  const share = async () => {
    await world.clock.advance(500);
    received.clear();
    await world.clock.advance(2_000);
    const [own, other] = [ID, OTHER_ID].map((id) => received.get(id) ?? 0);
    assert.ok(own + other > 3.8e6 * 2, `${own} and ${other} fill the link`);
    return own / (own + other);
  };
  const within = (value: number, expected: number) =>
    assert.ok(Math.abs(value / expected - 1) < 0.05, `${value}, expected ${expected}`);
  within(await share(), 1 / 2);
  world.source.setMigrationShare(ID, { priority: "normal", weight: 300 });
  within(await share(), 3 / 4);
  world.source.setMigrationShare(OTHER_ID, { priority: "normal", weight: 900 });
  within(await share(), 1 / 4);
  world.source.setMigrationShare(ID, { priority: "high", weight: 1 });
  within(await share(), 19 / 20);
  world.source.setRateLimit(4e6);
  within(await share(), 19 / 20);
  for (const sender of senders) sender.stop();
  await world.close();
});

Deno.test("memory goes before disk, which still gets a fourth", async () => {
  const world = new LinkWorld({ bytesPerSecond: 4e6 });
  const bytes = new Map<string, number>();
  world.accept(["memory", "disk"], (_id, kind, payload) => {
    bytes.set(kind, (bytes.get(kind) ?? 0) + payload.byteLength);
  });
  const senders = [
    flood(world.source.channel(ID, "disk"), 200_000),
    flood(world.source.channel(ID, "memory"), 200_000),
  ];
  await world.clock.advance(10_000);
  const share = bytes.get("disk")! / (bytes.get("disk")! + bytes.get("memory")!);
  assert.ok(share > 0.2 && share < 0.3, `${share}`);
  for (const sender of senders) sender.stop();
  await world.close();
});

Deno.test("both directions over a reordering, duplicating link that is cut: once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const random = new Random(seed, "link");
      const world = new LinkWorld({
        bytesPerSecond: 5e6,
        delayMs: 20,
        jitterMs: 30,
        duplicateRatio: 0.1,
        random: () => random.nextRatio(),
        limits: SMALL_LIMITS,
      });
      const got: Record<string, number[]> = { control: [], memory: [], disk: [] };
      world.accept(["control", "memory", "disk"], async (_id, kind, payload) => {
        await world.clock.sleep(random.nextRatio() * 10);
        got[kind].push(payload[0]);
      });
      const count = 30;
      const sending = (["control", "memory", "disk"] as const).map(async (kind) => {
        const channel = world.source.channel(ID, kind);
        for (let i = 0; i < count; i++) {
          await channel.send(16, new Uint8Array(1 + random.nextUint32() % 20_000).fill(i));
          if (random.chance(0.05)) world.pairs.at(-1)?.cut("test");
        }
        await channel.whenAppliedByPeer(count);
      });
      await world.clock.until(Promise.all(sending), 120_000);
      const expected = Array.from({ length: count }, (_, i) => i);
      assert.deepEqual(got, { control: expected, memory: expected, disk: expected });
      await world.close();
    }),
    { numRuns: 20, endOnFailure: true },
  );
});
