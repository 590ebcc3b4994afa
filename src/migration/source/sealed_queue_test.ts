import assert from "node:assert/strict";
import fc from "fast-check";
import type { OpenBatch } from "../../codec/envelope.ts";
import { SealedQueue } from "./sealed_queue.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

const numbered = (number: number): OpenBatch => ({
  body: Uint8Array.of(number, number),
  contentsBytes: 1,
  level: null,
});

/** A queue whose batches are packed, and handed over, when the test says so. */
function queue() {
  const packing: { number: number; done: PromiseWithResolvers<Uint8Array> }[] = [];
  const handing: PromiseWithResolvers<void>[] = [];
  const handed: number[] = [];
  const sealer = {
    ahead: 8,
    seal({ body }: OpenBatch) {
      const done = Promise.withResolvers<Uint8Array>();
      packing.push({ number: body[0], done });
      return done.promise;
    },
  };
  const sealed = new SealedQueue(sealer, (payload) => {
    handed.push(payload[0]);
    const done = Promise.withResolvers<void>();
    handing.push(done);
    return done.promise;
  });
  return { sealed, packing, handing, handed };
}

Deno.test("batches are handed over in the order in which they were put, whichever is packed first", async () => {
  const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 });
  await fc.assert(fc.asyncProperty(order, async (order) => {
    const { sealed, packing, handing, handed } = queue();
    for (let i = 0; i < 8; i++) sealed.put(numbered(i));
    assert.equal(sealed.waitingBytes, 16);
    for (const next of order) {
      packing[next].done.resolve(Uint8Array.of(packing[next].number));
      await settle();
      for (const done of handing) done.resolve();
      await settle();
    }
    for (let i = 0; i < 8; i++) {
      for (const done of handing) done.resolve();
      await settle();
    }
    await sealed.idle();
    assert.deepEqual(handed, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(sealed.waitingBytes, 0);
  }));
});

Deno.test("there is room when a batch was packed, handed over and taken", async () => {
  const { sealed, packing, handing } = queue();
  sealed.put(numbered(0));
  sealed.put(numbered(1));
  let hasRoom = false;
  void sealed.room(2).then(() => hasRoom = true);
  packing[0].done.resolve(Uint8Array.of(0));
  await settle();
  assert.equal(hasRoom, false, "the channel has no room yet");
  handing[0].resolve();
  await settle();
  assert.equal(hasRoom, true);
  assert.equal(sealed.hasRoom(1), false);
});

Deno.test("nothing is handed over behind a batch that was not", async () => {
  for (const what of ["packed", "handed over"]) {
    const { sealed, packing, handing, handed } = queue();
    for (let i = 0; i < 3; i++) sealed.put(numbered(i));
    const room = sealed.room(1);
    packing[1].done.resolve(Uint8Array.of(1));
    packing[2].done.resolve(Uint8Array.of(2));
    if (what === "packed") packing[0].done.reject(new Error("no"));
    else {
      packing[0].done.resolve(Uint8Array.of(0));
      await settle();
      handing[0].reject(new Error("no"));
    }
    await assert.rejects(room, /no/);
    await sealed.idle();
    assert.deepEqual(handed, what === "packed" ? [] : [0]);
    assert.throws(() => sealed.hasRoom(9), /no/);
  }
});

Deno.test("what goes with a batch that is not handed over is told of, once, also after a failure from outside", async () => {
  const sealer = { ahead: 4, seal: ({ body }: OpenBatch) => Promise.resolve(body) };
  const [delivered, dropped]: string[][] = [[], []];
  const sealed = new SealedQueue<string>(
    sealer,
    (_payload, _bytes, name) => Promise.resolve(void delivered.push(name)),
    (name) => dropped.push(name),
  );
  sealed.put(numbered(0), "first");
  await sealed.room(1);
  sealed.put(numbered(1), "second");
  sealed.put(numbered(2), "third");
  sealed.fail(new Error("the round is over"));
  await sealed.idle();
  assert.deepEqual([delivered, dropped], [["first"], ["second", "third"]]);
  await assert.rejects(sealed.room(1), /the round is over/);
});
