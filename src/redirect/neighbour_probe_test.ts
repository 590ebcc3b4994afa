import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { macBytes } from "./ethernet.ts";
import { NeighbourProbe } from "./neighbour_probe.ts";

const HOST = "02:00:00:00:00:01";

/** A network on which a test says who answers. */
function network() {
  const clock = new VirtualClock();
  const seen = { started: 0, closed: 0, asked: 0, devices: [] as number[] };
  let tell: (frame: Uint8Array) => void = () => {};
  const probe = new NeighbourProbe(clock, {
    host: {
      deviceOf: (name) => Promise.resolve(name === "br0" ? { index: 7, mac: HOST } : null),
    },
    startNet: (onFrame) => {
      seen.started++;
      tell = onFrame;
      return Promise.resolve({
        sendFrame: () => void seen.asked++,
        listen: (index: number) => void seen.devices.push(index),
        close: () => Promise.resolve(void seen.closed++),
        ended: new Promise<void>(() => {}),
      });
    },
  });
  const answer = (mac: string) =>
    tell(Uint8Array.from([
      ...[...macBytes(HOST), ...macBytes(mac), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
      ...[...macBytes(mac), 10, 1, 0, 5, ...macBytes(HOST), 0, 0, 0, 0],
    ]));
  return { clock, probe, seen, answer };
}

Deno.test("an answer of the machine counts, one of this host for it does not", async () => {
  const { clock, probe, seen, answer } = network();
  const asked = probe.ask("10.1.0.5", "br0", 1_000);
  await clock.advance(10);
  answer(HOST);
  await clock.advance(1_000);
  assert.equal(await asked, false);
  const again = [probe.ask("10.1.0.5", "br0", 1_000), probe.ask("10.1.0.6", "br0", 1_000)];
  await clock.advance(10);
  answer("52:54:00:00:00:05");
  await clock.advance(1_000);
  assert.deepEqual(await Promise.all(again), [true, false]);
  assert.deepEqual(seen, { started: 1, closed: 0, asked: 3, devices: [7] });
  await probe.close();
});

Deno.test("the process that listens ends when it is not used, and with the gateway", async () => {
  const { clock, probe, seen } = network();
  const ask = async () => {
    const asked = probe.ask("10.1.0.5", "br0", 100);
    await clock.advance(100);
    await asked;
  };
  await ask();
  await clock.advance(30_000);
  await ask();
  await clock.advance(59_000);
  assert.deepEqual([seen.started, seen.closed], [1, 0]);
  await clock.advance(2_000);
  assert.deepEqual([seen.started, seen.closed], [1, 1]);
  await ask();
  await probe.close();
  assert.deepEqual([seen.started, seen.closed], [2, 2]);
  assert.equal(await probe.ask("10.1.0.5", "br0", 100), false);
});

Deno.test("without the device nobody answers", async () => {
  const { probe, seen } = network();
  assert.equal(await probe.ask("10.1.0.5", "br9", 100), false);
  assert.equal(seen.started, 0);
  await probe.close();
});
