import assert from "node:assert/strict";
import { GatewayError } from "../../core/errors.ts";
import { Repairs, REPAIRS_MAX } from "./repairs.ts";

const mismatch = new GatewayError("batch_mismatch", "Cannot apply a batch", { hint: "none" });
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

Deno.test("frames are void from the source's answer until the stream that makes good", async () => {
  const asked: number[][] = [];
  const repairs = new Repairs((...question) => Promise.resolve(void asked.push(question)));
  const requested = repairs.request(12, mismatch);
  await settle();
  assert.deepEqual(asked, [[1, 12]]);
  assert.equal(repairs.pending, mismatch);
  assert.equal(repairs.isVoid, false, "nothing passes before the source knows");
  repairs.heard(7);
  repairs.heard(1);
  await requested;
  assert.equal(repairs.isVoid, true);
  repairs.streamBegins(0);
  assert.equal(repairs.isVoid, true, "a stream that began before the source heard of it");
  repairs.streamBegins(1);
  assert.equal(repairs.isVoid, false);
  assert.equal(repairs.pending, null);
});

Deno.test("a move that never gets its pages right ends with what is wrong", async () => {
  const repairs = new Repairs(() => Promise.resolve());
  for (let number = 1; number <= REPAIRS_MAX; number++) {
    const requested = repairs.request(number, mismatch);
    repairs.heard(number);
    await requested;
    repairs.streamBegins(number);
  }
  await assert.rejects(repairs.request(99, mismatch), mismatch);
});

Deno.test("what is asked too late is told as the mismatch", async () => {
  const repairs = new Repairs(() => Promise.reject(mismatch));
  await assert.rejects(repairs.request(1, mismatch), mismatch);
  assert.equal(repairs.pending, mismatch, "a hand-over must still be refused");
});
