import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import type { Carrier } from "./carrier.ts";
import { memoryCarrierPair } from "./memory_carrier.ts";
import { createSessionLink } from "./session_link.ts";

const ID = "6f1c2d3e-4a5b-4c6d-8e7f-0123456789ab";

/** Two links whose source dials the destination through memory. */
function world({ bytesPerSecond = null as number | null, delayMs = 10 } = {}) {
  const clock = new VirtualClock();
  const pairs: ReturnType<typeof memoryCarrierPair>[] = [];
  const destination = createSessionLink({
    peerName: "source",
    clock,
    dial: null,
    incarnation: "d1",
  });
  const source = createSessionLink({
    peerName: "destination",
    clock,
    dial: async (): Promise<Carrier> => {
      await clock.sleep(2 * delayMs);
      const pair = memoryCarrierPair(
        { clock, random: () => 0.5, delayMs, jitterMs: 0, bytesPerSecond },
        { peerName: "destination", peerIncarnation: "d1" },
        { peerName: "source", peerIncarnation: "s1" },
      );
      pairs.push(pair);
      destination.attach(pair.b);
      return pair.a;
    },
    incarnation: "s1",
  });
  const close = () => Promise.all([source.close(), destination.close()]);
  return { clock, source, destination, pairs, close };
}

Deno.test("a control message arrives, is applied and acknowledged", async () => {
  const { clock, source, destination, close } = world();
  const got: string[] = [];
  destination.onNewMigration((id) => {
    destination.channel(id, "control").receive((frame) => {
      got.push(new TextDecoder().decode(frame.payload));
      return Promise.resolve();
    });
  });
  const control = source.channel(ID, "control");
  const sequence = await control.send(1, new TextEncoder().encode("hello"));
  await clock.until(control.whenAppliedByPeer(sequence));
  assert.deepEqual(got, ["hello"]);
  assert.equal(control.unacknowledgedBytes, 0);
  await close();
});

Deno.test("frames that a cut connection lost arrive once and in order after the redial", async () => {
  const { clock, source, destination, pairs, close } = world({ bytesPerSecond: 1e6 });
  const got: number[] = [];
  destination.onNewMigration((id) => {
    destination.channel(id, "memory").receive((frame) => {
      got.push(frame.payload[0]);
      return Promise.resolve();
    });
  });
  const memory = source.channel(ID, "memory");
  const sending = (async () => {
    for (let i = 0; i < 50; i++) {
      await memory.send(16, new Uint8Array(50_000).fill(i));
      if (i === 20 || i === 35) pairs.at(-1)!.cut("test");
    }
  })();
  await clock.until(sending);
  await clock.until(memory.whenAppliedByPeer(50));
  assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i));
  assert.equal(pairs.length, 3);
  await close();
});
