import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { watchPeers } from "./peer_watch.ts";

function world() {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const state = { version: "1", peers: ["east"] as string[] | GatewayError };
  const taken: string[][] = [];
  const log: string[] = [];
  let looks = 0;
  const watched = watchPeers({
    version: () => Promise.resolve((looks++, state.version)),
    reload: () => {
      if (state.peers instanceof GatewayError) return Promise.reject(state.peers);
      taken.push(state.peers);
      return Promise.resolve();
    },
    clock,
    log: (level, message) => log.push(`${level} ${message}`),
    signal: stop.signal,
  });
  const end = async () => {
    stop.abort();
    await watched;
  };
  return { clock, state, taken, log, looks: () => looks, end };
}

Deno.test("peers are looked for once a second and read only when they changed", async () => {
  const { clock, state, taken, looks, end } = world();
  await clock.advance(10_000);
  assert.equal(looks(), 11);
  assert.deepEqual(taken, [["east"]]);
  Object.assign(state, { version: "2", peers: ["east", "south"] });
  await clock.advance(1_000);
  assert.deepEqual(taken, [["east"], ["east", "south"]]);
  await end();
});

Deno.test("peers that cannot be read are told once and taken over as soon as they can be", async () => {
  const { clock, state, taken, log, end } = world();
  await clock.advance(1_000);
  const broken = new GatewayError("config_invalid", "Cannot use it: no JSON", {
    hint: "Correct it",
  });
  Object.assign(state, { version: "2", peers: broken });
  await clock.advance(30_000);
  assert.deepEqual(taken, [["east"]]);
  assert.deepEqual(log, ["warn Cannot use it: no JSON; the peers stay as they were"]);
  // Another file was the trouble: the version stays what it was when the reading failed.
  state.peers = ["south"];
  await clock.advance(1_000);
  assert.deepEqual(taken, [["east"], ["south"]]);
  assert.deepEqual(log.slice(1), ["info the configuration's peers can be read again"]);
  await clock.advance(10_000);
  assert.equal(taken.length, 2);
  await end();
});

Deno.test("a watch that is stopped looks no more", async () => {
  const { clock, looks, end } = world();
  await clock.advance(2_500);
  await end();
  const before = looks();
  await clock.advance(10_000);
  assert.equal(looks(), before);
});
