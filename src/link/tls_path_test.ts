import assert from "node:assert/strict";
import type { Feedback } from "./path_datagram.ts";
import { TLS_WINDOW_BYTES_MAX, TLS_WINDOW_BYTES_MIN, TlsPath } from "./tls_path.ts";

const CLOCK_OFFSET_MS = 1e6;

/** Reports of a peer that reads at a rate, every 10 ms over a path with this round trip. */
class Reader {
  readonly path = new TlsPath();
  nowMs = 0;
  bytes = 0;

  constructor(readonly roundTripMs: number) {}

  read(bytesPerSecond: number, ms: number, isFull: boolean): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 10) {
      this.bytes += bytesPerSecond * 10 / 1000;
      if (isFull) this.path.noteFull(this.nowMs);
      this.path.take(this.report(), this.nowMs);
    }
  }

  report(change: Partial<Feedback> = {}): Feedback {
    return {
      kind: "feedback",
      nowMs: this.nowMs + CLOCK_OFFSET_MS,
      echoedSentMs: this.nowMs - this.roundTripMs,
      heldMs: 0,
      markCount: 0,
      markBytes: 0,
      lastMark: 0,
      lastMarkAtMs: NaN,
      transitMs: NaN,
      consumedBytes: 0,
      laneBytes: [0, this.bytes],
      ...change,
    };
  }
}

const near = (value: number | null, wanted: number) =>
  assert.ok(value !== null && Math.abs(value - wanted) < 0.05 * wanted, `${value} for ${wanted}`);

Deno.test("the bottleneck is what was read while more waited, and nothing else", () => {
  const reader = new Reader(50);
  reader.read(1e6, 3_000, false);
  assert.equal(reader.path.bottleneckBytesPerSecond, null);
  reader.read(10e6, 3_000, true);
  near(reader.path.bottleneckBytesPerSecond, 10e6);
  reader.read(1e6, 5_000, false);
  near(reader.path.bottleneckBytesPerSecond, 10e6);
  reader.read(4e6, 5_000, true);
  near(reader.path.bottleneckBytesPerSecond, 4e6);
});

Deno.test("the window follows the best rate of ten seconds, within its bounds", () => {
  const reader = new Reader(100);
  assert.equal(reader.path.windowBytes, TLS_WINDOW_BYTES_MIN);
  reader.read(1e5, 1_000, false);
  assert.equal(reader.path.windowBytes, TLS_WINDOW_BYTES_MIN);
  reader.read(10e6, 1_000, true);
  near(reader.path.windowBytes, 10e6 * 0.35);
  reader.read(5e6, 5_000, true);
  near(reader.path.windowBytes, 10e6 * 0.35);
  reader.read(5e6, 12_000, true);
  near(reader.path.windowBytes, 5e6 * 0.35);
  reader.read(1e9, 1_000, true);
  assert.equal(reader.path.windowBytes, TLS_WINDOW_BYTES_MAX);
});

Deno.test("round trip and goodput come from the reports, and impossible ones are not taken", () => {
  const reader = new Reader(80);
  reader.read(2e6, 2_000, true);
  assert.equal(reader.path.estimate.minRoundTripMs, 80);
  near(reader.path.estimate.goodputBytesPerSecond(reader.nowMs), 2e6);
  const before = reader.path.bottleneckBytesPerSecond;
  for (const change of [{ nowMs: NaN }, { laneBytes: [-1] }, { nowMs: 1 }]) {
    assert.equal(reader.path.take(reader.report(change), reader.nowMs), false);
  }
  assert.equal(reader.path.bottleneckBytesPerSecond, before);
  reader.path.take(reader.report({ nowMs: 1e300, laneBytes: [1e300] }), reader.nowMs);
  assert.ok(reader.path.windowBytes <= TLS_WINDOW_BYTES_MAX);
});
