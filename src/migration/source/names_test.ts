import assert from "node:assert/strict";
import { encodeStoreOffer } from "../../codec/store_offer.ts";
import { GatewayError } from "../../core/errors.ts";
import { hintOf, nameBuffer, nameContent, UNIT_BYTES } from "../../image/content_name.ts";
import type { Channel } from "../../link/peer_link.ts";
import { ArrivingNames, Needs } from "../destination/needs.ts";
import type { MoveStore } from "../store.ts";
import { NAMED_BYTES_MAX, SourceNames } from "./names.ts";
import { OfferedHints } from "./offered_hints.ts";
import { SentHints } from "./sent_hints.ts";

const MIB = 2 ** 20;

function unit(seed: number): Uint8Array {
  return new Uint8Array(UNIT_BYTES).fill(seed).fill(seed >>> 8, 0, 1);
}

function nameOf(content: Uint8Array): Uint32Array {
  const name = nameBuffer();
  nameContent(content, name);
  return name;
}

type Handler = Parameters<Channel["receive"]>[0];

/** Numbers frames at once; they count as applied when the test says so. */
class TestChannel {
  lastSent = 0;
  appliedByPeer = 0;
  handler: Handler | null = null;
  peer: TestChannel | null = null;

  send(type: number, payload: Uint8Array): Promise<number> {
    const sequence = ++this.lastSent;
    void this.peer?.handler?.({ type, sequence, payload }).catch(() => {});
    return Promise.resolve(sequence);
  }

  receive(handler: Handler): void {
    this.handler = handler;
  }

  get channel(): Channel {
    return this as unknown as Channel;
  }
}

function source({ storeBytes = 64 * MIB, keepsMemory = true, sent = new SentHints() } = {}) {
  const [memory, disk, needs] = [new TestChannel(), new TestChannel(), new TestChannel()];
  const answered: number[] = [];
  const broken: unknown[] = [];
  const names = new SourceNames(
    { bytesMax: storeBytes, keepsMemory },
    sent,
    needs.channel,
    { memory: memory.channel, disk: disk.channel },
    (_channel, count) => void answered.push(count),
    (error) => void broken.push(error),
  );
  return { names, memory, disk, needs, sent, answered, broken };
}

Deno.test("what travelled is named once the frame that brought it is applied, not before", () => {
  const { names, memory } = source();
  const { frames } = names;
  frames.memory.carried(nameOf(unit(1)));
  assert.equal(names.isKnown(nameOf(unit(1))), false);
  const batch = frames.memory.closeBatch();
  frames.memory.carried(nameOf(unit(2)));
  // The first frame of the channel is another one.
  batch.sent(2);
  memory.appliedByPeer = 1;
  names.settle();
  assert.equal(names.isKnown(nameOf(unit(1))), false, "only the frame before was applied");
  memory.appliedByPeer = 2;
  names.settle();
  assert.equal(names.isKnown(nameOf(unit(1))), true);
  assert.equal(names.isKnown(nameOf(unit(2))), false, "its batch is open");
  names.onlyOffered = true;
  assert.equal(names.isKnown(nameOf(unit(1))), false, "it is not pinned there");
});

Deno.test("memory and disk of one move, and other moves to the peer, share what was applied", () => {
  const sent = new SentHints();
  const [one, other] = [source({ sent }), source({ sent })];
  one.names.frames.disk.carried(nameOf(unit(1)));
  one.names.frames.disk.closeBatch().sent(1);
  one.disk.appliedByPeer = 1;
  one.names.settle();
  for (const { names } of [one, other]) {
    assert.equal(names.frames.memory.mayName(nameOf(unit(1))), true);
  }
});

Deno.test("a batch that is dropped leaves nothing of what it named, and was never carried", () => {
  const { names, memory } = source();
  names.frames.memory.named(nameOf(unit(1)), unit(1));
  names.frames.memory.closeBatch().sent(1);
  names.frames.memory.named(nameOf(unit(1)), unit(1));
  names.frames.memory.named(nameOf(unit(2)), unit(2));
  names.frames.memory.carried(nameOf(unit(3)));
  names.frames.memory.closeBatch().dropped();
  assert.equal(names.keptBytes, UNIT_BYTES);
  assert.equal(names.namedCount, 1);
  assert.deepEqual(names.frames.memory.contentOf(nameOf(unit(1))), unit(1));
  memory.appliedByPeer = 1;
  names.settle();
  assert.equal(names.keptBytes, 0);
  assert.equal(names.isKnown(nameOf(unit(3))), false);
});

Deno.test("what frames carry that a repair made void is not counted on; what they name is kept until then", () => {
  const { names, memory } = source();
  const { frames } = names;
  const send = (sequence: number) => {
    frames.memory.carried(nameOf(unit(sequence)));
    frames.memory.named(nameOf(unit(100 + sequence)), unit(100 + sequence));
    frames.memory.closeBatch().sent(sequence);
  };
  for (const sequence of [1, 2, 3]) send(sequence);
  frames.memory.voidFrom(2);
  // Numbered after the repair was asked for, before the stream that makes it good.
  send(4);
  assert.equal(names.keptBytes, 4 * UNIT_BYTES);
  frames.memory.streamBegins();
  send(6);
  memory.appliedByPeer = 6;
  names.settle();
  assert.equal(names.keptBytes, 0);
  const known = [1, 2, 3, 4, 6].filter((sequence) => names.isKnown(nameOf(unit(sequence))));
  assert.deepEqual(known, [1, 6]);
});

Deno.test("contents of memory are not counted on where the peer keeps none", () => {
  const { names, memory } = source({ keepsMemory: false });
  names.frames.memory.carried(nameOf(unit(1)));
  names.frames.memory.closeBatch().sent(1);
  memory.appliedByPeer = 1;
  names.settle();
  assert.equal(names.isKnown(nameOf(unit(1))), false);
});

Deno.test("what was named is kept until its last frame is applied, and answers a need", async () => {
  const { names, memory, needs, answered } = source();
  const asking = new TestChannel();
  [asking.peer, needs.peer] = [needs, asking];
  const destination = new Needs(asking.channel);
  for (let batch = 0; batch < 2; batch++) {
    names.frames.memory.named(nameOf(unit(1)), unit(1));
    names.frames.memory.closeBatch().sent(batch + 1);
  }
  assert.equal(names.keptBytes, UNIT_BYTES);
  memory.appliedByPeer = 1;
  names.settle();
  const found = await destination.ask("memory", [nameOf(unit(1)), nameOf(unit(1))]);
  assert.deepEqual([...found.values()], [unit(1)]);
  assert.deepEqual(answered, [1]);
  await assert.rejects(destination.ask("disk", [nameOf(unit(1))]), isInvalid);
  memory.appliedByPeer = 2;
  names.settle();
  assert.equal(names.keptBytes, 0);
  await assert.rejects(destination.ask("memory", [nameOf(unit(1))]), isInvalid);
});

const isInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

Deno.test("what exceeds the bound of what is kept travels whole, until frames are applied", () => {
  const { names, memory } = source();
  names.offered.add([...encodeStoreOffer(Float64Array.of(hintOf(nameOf(unit(1)))))][0]);
  const { frames } = names;
  let named = 0;
  while (frames.memory.mayName(nameOf(unit(1)))) {
    const other = unit(2);
    new DataView(other.buffer).setUint32(8, named++);
    frames.memory.named(nameOf(other), other);
  }
  assert.equal(names.keptBytes, NAMED_BYTES_MAX);
  frames.memory.closeBatch().sent(1);
  assert.equal(frames.memory.mayName(nameOf(unit(1))), false);
  memory.appliedByPeer = 1;
  assert.equal(frames.memory.mayName(nameOf(unit(1))), true);
});

Deno.test("a source that is misled by its hints stops to name", async () => {
  const { names, needs } = source();
  names.offered.add([...encodeStoreOffer(Float64Array.of(hintOf(nameOf(unit(1)))))][0]);
  const asking = new TestChannel();
  [asking.peer, needs.peer] = [needs, asking];
  const destination = new Needs(asking.channel);
  const all = Array.from({ length: 100 }, (_, i) => unit(i));
  for (const each of all) names.frames.memory.named(nameOf(each), each);
  assert.equal(names.isKnown(nameOf(unit(1))), true);
  const found = await destination.ask("memory", all.map(nameOf));
  assert.equal(found.size, 100);
  assert.equal(names.isKnown(nameOf(unit(1))), false);
});

Deno.test("no more is counted on than half of what the peer's store holds", () => {
  const sent = new SentHints();
  sent.add(1);
  assert.equal(sent.count, 0, "a peer without a store");
  sent.limitTo(20 * UNIT_BYTES);
  for (let hint = 0; hint < 30; hint++) sent.add(hint);
  sent.add(20);
  sent.add(100);
  assert.equal(sent.count, 10);
  assert.deepEqual([20, 21, 22, 29, 100].map((each) => sent.has(each)), [
    true,
    false,
    true,
    true,
    true,
  ]);
});

Deno.test("an offer is complete with its last frame, and then takes no more", () => {
  const hints = Float64Array.from({ length: 150_000 }, (_, i) => 1000 * i);
  const frames = [...encodeStoreOffer(hints)];
  const offered = new OfferedHints();
  for (const frame of frames) {
    assert.equal(offered.isComplete, false);
    offered.add(frame);
  }
  assert.equal(offered.isComplete, true);
  for (const hint of [0, 1000, 149_999_000]) assert.equal(offered.has(hint), true);
  for (const hint of [1, 999, 150_000_000]) assert.equal(offered.has(hint), false);
  assert.throws(
    () => offered.add(frames[0]),
    (thrown) => thrown instanceof GatewayError && thrown.code === "frame_invalid",
  );
});

Deno.test("a source that answers with another content is refused", async () => {
  const asking = new TestChannel();
  const lying = source();
  [asking.peer, lying.needs.peer] = [lying.needs, asking];
  lying.names.frames.disk.named(nameOf(unit(1)), unit(2));
  const store: MoveStore = {
    bytesMax: 0,
    keepsMemory: true,
    offer: () => new Float64Array(0),
    get: () => false,
    put: () => assert.fail("nothing may be kept"),
    release: () => {},
  };
  const needs = new Needs(asking.channel);
  const arriving = new ArrivingNames("disk", store, needs);
  await assert.rejects(needs.ask("disk", [nameOf(unit(1))]), isInvalid);
  assert.throws(() => arriving.resolve(nameOf(unit(1)), new Uint8Array(512)), isInvalid);
});

Deno.test("what is asked for when the move ends is given up, and nothing is asked any more", async () => {
  const asking = new TestChannel();
  const needs = new Needs(asking.channel);
  const asked = needs.ask("disk", [nameOf(unit(1))]);
  needs.close();
  const ends = (thrown: unknown) => thrown instanceof GatewayError && thrown.code === "link_closed";
  await assert.rejects(asked, ends);
  await assert.rejects(needs.ask("memory", [nameOf(unit(2))]), ends);
  assert.equal(asking.lastSent, 1);
});

Deno.test("frames that are no need and no answer end the move, not its control channel", async () => {
  const { needs, broken } = source();
  for (const [type, bytes] of [[48, 7], [48, 9], [49, 40], [1, 40]]) {
    await needs.handler!({ type, sequence: 1, payload: new Uint8Array(bytes) });
  }
  assert.equal(broken.length, 4);
  for (const each of broken) assert.ok(each instanceof GatewayError);
  const asking = new TestChannel();
  const destination = new Needs(asking.channel);
  for (const [type, bytes] of [[49, 3], [48, 40]]) {
    const asked = destination.ask("memory", [nameOf(unit(1))]);
    await asking.handler!({ type, sequence: 1, payload: new Uint8Array(bytes) });
    await assert.rejects(asked, (thrown) => thrown instanceof GatewayError);
  }
});
