import assert from "node:assert/strict";
import { Liveness } from "./liveness.ts";

const connection = (id: number, preferred = true) => ({
  id,
  preferred,
  peerIncarnation: "peer",
  keepsHouse: true,
});

/** Ticks whenever asked for, up to a time. */
function tickUntil(liveness: Liveness, fromMs: number, untilMs: number): void {
  let nowMs = fromMs;
  while (liveness.wakeAtMs() <= untilMs) {
    nowMs = Math.max(nowMs, liveness.wakeAtMs());
    liveness.tick(nowMs);
  }
}

Deno.test("a connection is silent after 1 s, or after three round trips where they take longer", () => {
  const quick = new Liveness();
  const carrier = quick.add(connection(1), 0);
  tickUntil(quick, 0, 999);
  assert.equal(carrier.silent, false);
  tickUntil(quick, 999, 1_000);
  assert.equal(carrier.silent, true);

  const slow = new Liveness();
  const far = slow.add(connection(1), 0);
  slow.tick(0);
  const ping = slow.takePing(far, 0);
  slow.heard(far, 600);
  slow.pong(ping, far, 600);
  assert.equal(slow.roundTripMs, 600);
  tickUntil(slow, 600, 2_399);
  assert.equal(far.silent, false);
  tickUntil(slow, 2_399, 2_400);
  assert.equal(far.silent, true);
  slow.heard(far, 2_500);
  assert.equal(far.silent, false);
});

Deno.test("where this process was held up, nobody is called silent for it", () => {
  const liveness = new Liveness();
  const carrier = liveness.add(connection(1), 0);
  liveness.tick(0);
  liveness.tick(300);
  liveness.heard(carrier, 300);
  liveness.tick(5_000);
  assert.equal(carrier.silent, false);
  tickUntil(liveness, 5_000, 6_500);
  assert.equal(carrier.silent, true, "silence afterwards counts");
});

Deno.test("a working connection goes first, then a preferred one, then the one in use", () => {
  const liveness = new Liveness();
  assert.equal(liveness.primary(), null);
  const old = liveness.add(connection(1), 0);
  const preferred = liveness.add(connection(2), 0);
  const other = liveness.add(connection(3, false), 0);
  assert.equal(liveness.primary(), null, "none has told its state");
  other.ready = true;
  assert.equal(liveness.primary(), other);
  old.ready = true;
  assert.equal(liveness.primary(), old);
  preferred.ready = true;
  assert.equal(liveness.primary(), old, "what works stays in use");
  old.silent = true;
  assert.equal(liveness.primary(), preferred);
  old.silent = false;
  assert.equal(liveness.primary(), preferred);
  old.silent = preferred.silent = true;
  assert.equal(liveness.primary(), other);
  other.silent = true;
  assert.equal(liveness.primary(), preferred, "all are silent: the newest of the preferred");
});

Deno.test("only the side that keeps house closes a working connection, and never the one in use", () => {
  const liveness = new Liveness();
  const old = liveness.add(connection(1), 0);
  const used = liveness.add(connection(2), 0);
  used.ready = true;
  assert.equal(liveness.primary(), used);
  old.ready = true;
  assert.deepEqual(liveness.surplus(0, true), []);
  assert.deepEqual(liveness.surplus(4_999, true), []);
  assert.deepEqual(liveness.surplus(5_000, false), []);
  assert.deepEqual(liveness.surplus(5_000, true), [old]);
  used.silent = true;
  assert.deepEqual(liveness.surplus(5_001, true), [], "it is needed again");
});

Deno.test("round trips are measured on the connection that the ping went over", () => {
  const liveness = new Liveness();
  const [a, b] = [liveness.add(connection(1), 0), liveness.add(connection(2), 0)];
  const number = liveness.takePing(a, 0);
  liveness.pong(number, b, 50);
  assert.equal(liveness.roundTripMs, null);
  liveness.pong(number, a, 80);
  liveness.pong(number, a, 900);
  assert.equal(liveness.roundTripMs, 80);
  liveness.pong(liveness.takePing(a, 1_000), a, 1_160);
  assert.equal(liveness.roundTripMs, 90, "smoothed by an eighth");
  assert.equal(liveness.minRoundTripMs, 80);
});
