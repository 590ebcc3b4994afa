import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { LinkWorld } from "../testing/link_world.ts";
import { migrationIdText } from "../wire/migration_id.ts";

const ID = migrationIdText(new Uint8Array(16).fill(0xa1));
const OTHER_ID = migrationIdText(new Uint8Array(16).fill(0xb2));

const isLinkClosed = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "link_closed";

const text = (value: string) => new TextEncoder().encode(value);

/** A promise that has not settled by the time the clock has moved on. */
async function isPending(world: LinkWorld, promise: Promise<unknown>, ms: number) {
  let settled = false;
  const onSettled = () => void (settled = true);
  promise.then(onSettled, onSettled);
  await world.clock.advance(ms);
  return !settled;
}

/** Whole ms from each dial to the next. */
function pausesBetweenDials({ dialedAtMs }: LinkWorld): number[] {
  return dialedAtMs.slice(1).map((atMs, i) => Math.round(atMs - dialedAtMs[i]));
}

Deno.test("a control message arrives, is applied and acknowledged", async () => {
  const world = new LinkWorld();
  const got: string[] = [];
  world.accept(
    ["control"],
    (_id, _kind, payload) => void got.push(new TextDecoder().decode(payload)),
  );
  const control = world.source.channel(ID, "control");
  const sequence = await control.send(1, text("hello"));
  assert.equal(control.unacknowledgedBytes, 5);
  await world.clock.until(control.whenAppliedByPeer(sequence));
  assert.deepEqual(got, ["hello"]);
  assert.equal(control.unacknowledgedBytes, 0);
  assert.equal(control.appliedByPeer, 1);
  assert.ok(control.wireBytes >= 5 && control.receivedWireBytes > 0);
  await world.close();
});

Deno.test("only what somebody awaits is copied, and a copy changes nothing", async () => {
  const world = new LinkWorld();
  const got: string[] = [];
  world.accept(["control", "memory"], (_id, kind, payload) => void got.push(kind + payload[0]));
  const control = world.source.channel(ID, "control");
  await control.send(1, Uint8Array.of(0));
  await world.clock.until(control.whenAppliedByPeer(1));
  const carrier = world.pair.a;
  let copies = 0;
  carrier.copy = (record) => {
    copies++;
    void carrier.send(record, true);
  };
  const memory = world.source.channel(ID, "memory");
  for (let i = 1; i < 4; i++) {
    await memory.send(16, Uint8Array.of(i));
    await control.send(1, Uint8Array.of(i));
  }
  await world.clock.until(
    Promise.all([control.whenAppliedByPeer(4), memory.whenAppliedByPeer(3)]),
  );
  assert.equal(copies, 3);
  const of = (kind: string) => got.filter((each) => each.startsWith(kind));
  assert.deepEqual(of("control"), ["control0", "control1", "control2", "control3"]);
  assert.deepEqual(of("memory"), ["memory1", "memory2", "memory3"]);
  await world.close();
});

Deno.test("what cut connections lost arrives once and in order after the redial", async () => {
  const world = new LinkWorld({ bytesPerSecond: 1e6 });
  const got: number[] = [];
  world.accept(["memory"], (_id, _kind, payload) => void got.push(payload[0]));
  const memory = world.source.channel(ID, "memory");
  await world.clock.until((async () => {
    for (let i = 0; i < 50; i++) {
      await memory.send(16, new Uint8Array(50_000).fill(i));
      if (i === 20 || i === 35) world.pair.cut("test");
    }
    await memory.whenAppliedByPeer(50);
  })());
  assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i));
  assert.equal(world.pairs.length, 3);
  assert.deepEqual(world.sourceEvents.map(({ kind }) => kind), ["up", "down", "up", "down", "up"]);
  assert.ok(world.source.resentBytes > 0 && world.source.resentBytes % 50_000 === 0);
  // One clock drives both ends: they differ by what the way takes less half a round trip.
  assert.ok(Math.abs(world.source.clockOffsetMs!) < 500, `${world.source.clockOffsetMs}`);
  await world.close();
});

Deno.test("beside a silent connection a new one is dialled every second, and takes over", async () => {
  const world = new LinkWorld({ delayMs: 50, bytesPerSecond: 1e6 });
  const got: number[] = [];
  world.accept(["memory"], (_id, _kind, payload) => void got.push(payload[0]));
  const memory = world.source.channel(ID, "memory");
  await world.clock.until(memory.send(16, new Uint8Array(1000)));
  await world.clock.until(memory.whenAppliedByPeer(1));
  const first = world.pair;
  first.stall(true);
  world.dialsHang = true;
  const stalledAtMs = world.clock.nowMs();
  for (let i = 1; i < 4; i++) await memory.send(16, new Uint8Array(1000).fill(i));
  await world.clock.advance(4_500);
  const redials = world.dialedAtMs.slice(1).map((atMs) => atMs - stalledAtMs);
  assert.equal(redials.length, 4);
  assert.ok(redials[0] >= 700 && redials[0] <= 1_100, `first redial after ${redials[0]} ms`);
  redials.slice(1).forEach((atMs, i) => assert.ok(Math.abs(atMs - redials[i] - 1_000) < 1));

  world.dialsHang = false;
  await world.clock.until(memory.whenAppliedByPeer(4));
  assert.ok(world.clock.nowMs() - stalledAtMs < 6_000, "goes on within a redial after the outage");
  let isClosed = false;
  void first.a.closed.then(() => isClosed = true);
  await world.clock.advance(2_000);
  assert.ok(isClosed, "the silent one is closed once it is replaced");
  assert.deepEqual(got, [0, 1, 2, 3]);
  assert.equal(world.source.state, "up");
  await world.close();
});

Deno.test("where both sides dial, both use the same connection and the other is closed", async () => {
  const world = new LinkWorld({ bothDial: true, bytesPerSecond: 1e6 });
  const got: number[] = [];
  world.accept(["memory"], (_id, _kind, payload) => void got.push(payload[0]));
  const memory = world.source.channel(ID, "memory");
  await world.clock.advance(100);
  const closed: number[] = [];
  world.pairs.forEach((pair, n) => void pair.a.closed.then(() => closed.push(n)));
  await world.clock.until((async () => {
    for (let i = 0; i < 100; i++) await memory.send(16, new Uint8Array(100_000).fill(i));
    await memory.whenAppliedByPeer(100);
  })());
  await world.clock.advance(60_000);
  assert.equal(world.pairs.length, 2);
  assert.equal(closed.length, 1);
  assert.deepEqual(got, Array.from({ length: 100 }, (_, i) => i));
  // Nothing was under way on the closed one: 100 frames of 100 KB, none of them twice.
  assert.ok(memory.wireBytes < 100 * 100_048 + 50_000, `${memory.wireBytes}`);
  await world.close();
});

Deno.test("a connection that is heard again needs no other", async () => {
  const world = new LinkWorld();
  await world.clock.advance(100);
  world.pair.stall(true);
  await world.clock.advance(800);
  world.pair.stall(false);
  await world.clock.advance(5_000);
  assert.equal(world.pairs.length, 1);
  await world.close();
});

Deno.test("a refusal is told, and the pauses between dials grow", async () => {
  const world = new LinkWorld();
  world.dialError = new GatewayError("peer_not_trusted", "Cannot connect: not trusted", {
    hint: "Run trust",
  });
  await world.clock.advance(300_000);
  const pauses = pausesBetweenDials(world);
  // 20 ms each until it is refused. Trust may be given at any moment: never more than 5 s.
  assert.deepEqual(pauses.slice(0, 5), [1_020, 2_020, 4_020, 5_020, 5_020]);
  assert.equal(Math.max(...pauses), 5_020);
  assert.deepEqual(world.sourceEvents[0], {
    kind: "refused",
    code: "peer_not_trusted",
    message: "Cannot connect: not trusted",
    hint: "Run trust",
  });
  world.dialError = null;
  await world.clock.advance(5_100);
  assert.equal(world.source.state, "up");
  await world.close();
});

Deno.test("a refusal that no configuration can end is tried once a minute in the end", async () => {
  const world = new LinkWorld();
  world.dialError = new GatewayError("protocol_mismatch", "Cannot connect: version 1", {
    hint: "Update",
  });
  await world.clock.advance(600_000);
  const pauses = pausesBetweenDials(world);
  assert.deepEqual(pauses.slice(0, 8), [1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 1_000 + 20));
  await world.close();
});

Deno.test("whoever asks for a link that was refused does not wait for the next dial", async () => {
  const world = new LinkWorld();
  world.dialError = new GatewayError("protocol_mismatch", "Cannot connect: version 1", {
    hint: "Update",
  });
  await world.clock.advance(200_000);
  world.dialError = null;
  world.source.retry();
  await world.clock.advance(50);
  assert.equal(world.source.state, "up");
  const dials = world.dialedAtMs.length;
  world.source.retry();
  await world.clock.advance(5_000);
  assert.equal(world.dialedAtMs.length, dials, "a link that is up needs no other");
  await world.close();
});

Deno.test("a link that is asked for all the time dials once a second, and no attempt is cut short", async () => {
  const world = new LinkWorld({ delayMs: 1_500 });
  await world.clock.advance(0);
  for (let i = 0; i < 29; i++) {
    world.source.retry();
    await world.clock.advance(100);
  }
  assert.equal(world.dialedAtMs.length, 3, "at 0, 1 and 2 s");
  await world.clock.advance(200);
  assert.equal(world.source.state, "up", "the first attempt needed its 3 s and got them");
  await world.close();
});

Deno.test("a restarted peer ends every channel, and new ones start at 1", async () => {
  const world = new LinkWorld();
  world.accept(["control"], () => {});
  const old = world.source.channel(ID, "control");
  await old.send(1, text("one"));
  await old.send(1, text("two"));
  await world.clock.until(old.whenAppliedByPeer(2));
  // Nobody takes this one: it stays unacknowledged for ever.
  const lost = world.source.channel(ID, "memory");
  await world.clock.until(lost.send(16, text("lost")));
  const never = assert.rejects(lost.whenAppliedByPeer(1), isLinkClosed);
  await world.clock.advance(100);

  await world.restartDestination();
  const got: string[] = [];
  world.accept(
    ["control"],
    (_id, _kind, payload) => void got.push(new TextDecoder().decode(payload)),
  );
  await world.clock.advance(2_000);
  await never;
  assert.ok(world.sourceEvents.some(({ kind }) => kind === "restarted"));
  await assert.rejects(old.send(1, text("three")), isLinkClosed);
  const control = world.source.channel(ID, "control");
  assert.notEqual(control, old);
  assert.equal(await control.send(1, text("four")), 1);
  await world.clock.until(control.whenAppliedByPeer(1));
  assert.deepEqual(got, ["four"]);
  await world.close();
});

Deno.test("a handler that fails closes its migration on both sides and no other", async () => {
  const world = new LinkWorld();
  const got: string[] = [];
  world.accept(["control"], (id, _kind, payload) => {
    if (id === ID) throw new Error("disk on fire");
    got.push(new TextDecoder().decode(payload));
  });
  const failing = world.source.channel(ID, "control");
  const healthy = world.source.channel(OTHER_ID, "control");
  await failing.send(1, text("x"));
  await healthy.send(1, text("y"));
  await assert.rejects(world.clock.until(failing.whenAppliedByPeer(1)), isLinkClosed);
  await healthy.send(1, text("z"));
  await world.clock.until(healthy.whenAppliedByPeer(2));
  assert.deepEqual(got, ["y", "z"]);
  const failure = world.destinationEvents.find(({ kind }) => kind === "handlerFailed");
  assert.ok(failure?.kind === "handlerFailed" && failure.migrationId === ID);
  assert.match(failure.error.message, /disk on fire/);
  assert.ok(world.sourceEvents.some((e) => e.kind === "closedByPeer" && e.migrationId === ID));
  assert.equal(world.pairs.length, 1, "the connection stays");
  await world.close();
});

Deno.test("an acknowledgement is not lost when the peer closes right after applying", async () => {
  const world = new LinkWorld();
  world.destination.onNewMigration((id) => {
    const channel = world.destination.channel(id, "control");
    channel.receive(() => Promise.resolve());
    void channel.whenAppliedHere(1).then(() => world.destination.closeChannels(id));
  });
  const control = world.source.channel(ID, "control");
  await control.send(1, text("last"));
  await world.clock.until(control.whenAppliedByPeer(1));
  const more = control.send(1, text("more")).then(() => control.whenAppliedByPeer(2));
  await assert.rejects(world.clock.until(more), isLinkClosed);
  await world.close();
});

Deno.test("a migration that nobody at the peer takes is closed", async () => {
  const world = new LinkWorld();
  const control = world.source.channel(ID, "control");
  await control.send(1, text("anyone?"));
  await assert.rejects(world.clock.until(control.whenAppliedByPeer(1)), isLinkClosed);
  await world.close();
});

Deno.test("frames wait for their handler, and for a while for a channel", async () => {
  const world = new LinkWorld();
  const seen: string[] = [];
  world.destination.onNewMigration((id) => seen.push(id));
  const control = world.source.channel(ID, "control");
  await control.send(1, text("early"));
  await world.clock.advance(5_000);
  assert.deepEqual(seen, [ID]);
  const got: string[] = [];
  world.destination.channel(ID, "control").receive(({ payload }) => {
    got.push(new TextDecoder().decode(payload));
    return Promise.resolve();
  });
  await world.clock.until(control.whenAppliedByPeer(1));
  assert.deepEqual(got, ["early"]);

  const unclaimed = world.source.channel(OTHER_ID, "control");
  await unclaimed.send(1, text("anyone?"));
  assert.ok(await isPending(world, unclaimed.whenAppliedByPeer(1), 29_000));
  await assert.rejects(world.clock.until(unclaimed.whenAppliedByPeer(1), 5_000), isLinkClosed);
  await world.close();
});

Deno.test("garbage from a connection closes it and is told; the link dials anew", async () => {
  const world = new LinkWorld();
  await world.clock.advance(100);
  await world.pair.b.send(Uint8Array.of(1, 2, 3), true);
  await world.clock.advance(100);
  const refused = world.sourceEvents.find(({ kind }) => kind === "refused");
  assert.ok(refused?.kind === "refused" && refused.code === "frame_invalid");
  await world.clock.advance(5_000);
  assert.equal(world.pairs.length, 2);
  assert.equal(world.source.state, "up");
  await world.close();
});

Deno.test("closing a link rejects what waits and ends its timers", async () => {
  const world = new LinkWorld({ limits: { queueBytesMin: 1000 } });
  const memory = world.source.channel(ID, "memory");
  const waiting = assert.rejects(memory.send(16, new Uint8Array(2000)), isLinkClosed);
  const applied = assert.rejects(memory.whenAppliedByPeer(1), isLinkClosed);
  await world.close();
  await Promise.all([waiting, applied]);
  assert.throws(() => world.source.channel(ID, "control"), isLinkClosed);
  assert.equal(world.source.state, "down");
});
