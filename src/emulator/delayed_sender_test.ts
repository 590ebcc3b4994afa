import assert from "node:assert/strict";
import type { Clock } from "../core/clock.ts";
import { DelayedSender } from "./delayed_sender.ts";

/** A clock that stands still until told; `sleep` ends when its time has come. */
class ManualClock implements Clock {
  #nowMs = 0;
  readonly #sleepers = new Set<{ untilMs: number; resolve: () => void }>();

  wallMs(): number {
    return this.#nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { untilMs: this.#nowMs + ms, resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  async advanceTo(nowMs: number): Promise<void> {
    this.#nowMs = nowMs;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.untilMs > nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.resolve();
    }
    await settled();
  }
}

/** Lets everything run that waits for no timer. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

const TO = { transport: "udp", hostname: "127.0.0.1", port: 1 } as const;

function senderOf(send: (bytes: Uint8Array) => Promise<number>) {
  const clock = new ManualClock();
  const sender = new DelayedSender(clock);
  const schedule = (dueMs: number, value: number) =>
    sender.schedule(dueMs, { bytes: Uint8Array.of(value), socket: { send }, to: TO });
  return { clock, sender, schedule };
}

Deno.test("DelayedSender sends at the due time and in order of it", async () => {
  const sent: number[] = [];
  const { clock, sender, schedule } = senderOf((bytes) => Promise.resolve(sent.push(bytes[0])));
  await settled();
  schedule(50, 3);
  schedule(50, 4);
  schedule(10, 1);
  schedule(20, 2);
  await settled();
  assert.deepEqual(sent, []);
  await clock.advanceTo(9);
  assert.deepEqual(sent, []);
  await clock.advanceTo(10);
  assert.deepEqual(sent, [1]);
  await clock.advanceTo(20);
  assert.deepEqual(sent, [1, 2]);
  await clock.advanceTo(60);
  assert.deepEqual(sent, [1, 2, 3, 4]);
  assert.deepEqual(sender.punctuality, {
    sentPackets: 4,
    latePackets: 2,
    lateMsMax: 10,
    failedSends: 0,
  });
  await sender.close();
});

Deno.test("DelayedSender sends one at a time and survives a socket that refuses", async () => {
  const sent: number[] = [];
  let parallel = 0;
  const { clock, sender, schedule } = senderOf(async (bytes) => {
    assert.equal(++parallel, 1, "two sends at once may overtake each other");
    await settled();
    parallel--;
    if (bytes[0] === 1) throw new Error("connection refused");
    return sent.push(bytes[0]);
  });
  for (const value of [0, 1, 2]) schedule(5, value);
  await clock.advanceTo(5);
  sender.poke();
  for (let i = 0; i < 5; i++) await settled();
  assert.deepEqual(sent, [0, 2]);
  assert.equal(sender.punctuality.failedSends, 1);
  assert.equal(sender.punctuality.sentPackets, 2);
  await sender.close();
});

Deno.test("DelayedSender.close() forgets what waits", async () => {
  const sent: number[] = [];
  const { clock, sender, schedule } = senderOf((bytes) => Promise.resolve(sent.push(bytes[0])));
  schedule(5, 1);
  await sender.close();
  await clock.advanceTo(100);
  assert.deepEqual(sent, []);
});
