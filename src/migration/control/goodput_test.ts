import assert from "node:assert/strict";
import { Goodput } from "./goodput.ts";
import { measurement, path } from "./testing/measurements.ts";

function watch(
  goodput: Goodput,
  { rate, waiting, cap = null, seconds = 5 }: {
    rate: number;
    waiting: number;
    cap?: number | null;
    seconds?: number;
  },
): void {
  for (let atMs = 0; atMs <= seconds * 1000; atMs += 100) {
    const measured = measurement(atMs, { appliedWireBytes: rate * atMs / 1000 });
    goodput.observe(atMs, measured, {
      appliedBytesPerSecond: atMs > 0 ? rate : 0,
      waitingBytes: waiting,
      capBytesPerSecond: cap,
    });
  }
}

Deno.test("the bottleneck and the cap limit, and the slowest path is assumed before", () => {
  const goodput = new Goodput();
  assert.equal(goodput.bytesPerSecond(measurement(0), null), 10e6);
  assert.equal(goodput.bytesPerSecond(measurement(0), 4e6), 4e6);
  const unknown = measurement(0, { path: path({ bottleneckBytesPerSecond: null }) });
  assert.equal(goodput.bytesPerSecond(unknown, null), 500_000);
  assert.equal(goodput.bytesPerSecond(unknown, 100_000), 100_000);
});

Deno.test("with a queue all the time, what was carried is what this move gets", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 3e6, waiting: 20e6 });
  assert.ok(Math.abs(goodput.bytesPerSecond(measurement(5_000), null) - 3.15e6) < 1e5);
});

Deno.test("an idle link says nothing of what it could carry", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 3e6, waiting: 20e6 });
  watch(goodput, { rate: 1e5, waiting: 0 });
  assert.equal(goodput.bytesPerSecond(measurement(5_000), null), 10e6);
});

Deno.test("a cap that was used up says nothing of what lies above it", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 2e6, waiting: 20e6, cap: 2e6 });
  assert.equal(goodput.bytesPerSecond(measurement(5_000), null), 10e6);
  assert.equal(goodput.bytesPerSecond(measurement(5_000), 5e6), 5e6);
});

Deno.test("a link that is always capped never learns its bottleneck, and yet carries its cap", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 2e6, waiting: 20e6, cap: 2e6 });
  const unknown = measurement(5_000, { path: path({ bottleneckBytesPerSecond: null }) });
  assert.equal(goodput.bytesPerSecond(unknown, 2e6), 2e6);
  assert.equal(goodput.bytesPerSecond(unknown, 5e6), 2e6);
});

Deno.test("a cap counts more than what the move gets of it", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 1.8e6, waiting: 20e6, cap: 2e6 });
  assert.equal(Math.round(goodput.bytesPerSecond(measurement(5_000), 2e6)), 1.8e6);
  assert.equal(Math.round(goodput.bytesPerSecond(measurement(5_000), 4e6)), 3.6e6);
});

Deno.test("a limit from before a gap does not count, what was carried is the best guess", () => {
  const goodput = new Goodput();
  watch(goodput, { rate: 3e6, waiting: 20e6 });
  goodput.forget();
  assert.equal(goodput.bytesPerSecond(measurement(5_000), null), 10e6);
  const unknown = measurement(5_000, { path: path({ bottleneckBytesPerSecond: null }) });
  assert.equal(goodput.bytesPerSecond(unknown, null), 3e6);
});
