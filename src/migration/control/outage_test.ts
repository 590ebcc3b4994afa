import assert from "node:assert/strict";
import { Outages } from "./outage.ts";
import { measurement, path } from "./testing/measurements.ts";

/** A path at its times: what `observe` says of each. */
function follow(
  outages: Outages,
  fromMs: number,
  untilMs: number,
  parts: (atMs: number) => Parameters<typeof measurement>[1],
) {
  let last = outages.observe(measurement(fromMs, parts(fromMs)));
  for (let atMs = fromMs + 100; atMs <= untilMs; atMs += 100) {
    last = outages.observe(measurement(atMs, parts(atMs)));
  }
  return last;
}

Deno.test("the judging clock runs with the link and stands still without it", () => {
  const outages = new Outages();
  assert.equal(follow(outages, 0, 5_000, () => ({})).judgedMs, 5_000);
  const gone = follow(outages, 5_100, 35_000, (atMs) => ({
    path: path({ silentMs: atMs - 5_000 }),
  }));
  assert.equal(gone.link, "gone");
  // The first second of silence may be anything.
  assert.ok(gone.judgedMs >= 5_900 && gone.judgedMs <= 6_100, String(gone.judgedMs));
});

Deno.test("a link that is down is gone at once", () => {
  const outages = new Outages();
  assert.equal(outages.observe(measurement(0, { isLinkUp: false })).link, "gone");
});

Deno.test("silence is measured in round trips on a far path", () => {
  const far = (silentMs: number) =>
    new Outages().observe(measurement(0, { path: path({ roundTripMs: 600, silentMs }) })).link;
  assert.equal(far(1_700), "there");
  assert.equal(far(1_900), "gone");
});

Deno.test("after a gap there is time for the figures to settle", () => {
  const outages = new Outages();
  follow(outages, 0, 1_000, () => ({}));
  follow(outages, 1_100, 5_000, () => ({ isLinkUp: false }));
  assert.equal(follow(outages, 5_100, 6_000, () => ({})).link, "settling");
  const there = follow(outages, 6_100, 6_500, () => ({}));
  assert.equal(there.link, "there");
  assert.ok(there.judgedMs < 1_500);
});

Deno.test("time in which the machine stood still is not judged", () => {
  const outages = new Outages();
  outages.observe(measurement(0));
  outages.skip(40_000);
  assert.equal(outages.observe(measurement(40_100)).judgedMs, 100);
});

Deno.test("a path far below what it was counts as slowed until it has stayed so", () => {
  const outages = new Outages();
  const at = (rate: number) => () => ({ path: path({ bottleneckBytesPerSecond: rate }) });
  assert.equal(follow(outages, 0, 20_000, at(10e6)).isSlowed, false);
  assert.equal(follow(outages, 20_100, 30_000, at(1e6)).isSlowed, true);
  assert.equal(follow(outages, 30_100, 60_000, at(1e6)).isSlowed, false);
  // A rise is taken at once, and a little less is no slowing.
  assert.equal(follow(outages, 60_100, 61_000, at(10e6)).isSlowed, false);
  assert.equal(follow(outages, 61_100, 62_000, at(7e6)).isSlowed, false);
});
