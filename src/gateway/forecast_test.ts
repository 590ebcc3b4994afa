import assert from "node:assert/strict";
import fc from "fast-check";
import type { DiskDescription } from "../guest/guest.ts";
import type { PathMeasurement } from "../link/peer_link.ts";
import { ASSUMED_RATE, forecast } from "./forecast.ts";
import type { PlanRange } from "./service.ts";

const MIB = 1024 * 1024;

function path(changes: Partial<PathMeasurement> = {}): PathMeasurement {
  return {
    roundTripMs: 80,
    minRoundTripMs: 80,
    bottleneckBytesPerSecond: null,
    goodputBytesPerSecond: null,
    lossRatio: null,
    queueMs: null,
    jitterMs: null,
    silentMs: 0,
    ...changes,
  };
}

function disk(sizeBytes: number, allocatedBytes: number | null): DiskDescription {
  return { id: "root", sizeBytes, allocatedBytes, format: "qcow2", readOnly: false, path: null };
}

const machine = (...disks: DiskDescription[]) => ({ memoryBytes: 100 * MIB, disks });

function forecastOf(
  description: ReturnType<typeof machine>,
  measured = path(),
  capBytesPerSecond: number | null = null,
) {
  const { rate, strategies: [precopy, stopAndCopy] } = forecast({
    description,
    path: measured,
    capBytesPerSecond,
  });
  return { rate, precopy, stopAndCopy };
}

const remarks = (of: ReturnType<typeof forecastOf>) => of.precopy.remarks.join("\n");

Deno.test("a thin disk costs what its image takes, not its size", () => {
  const thin = forecastOf(machine(disk(20_000 * MIB, 900 * MIB)));
  assert.deepEqual(thin.precopy.wireBytes, {
    low: Math.round(1_000 * MIB * 0.2),
    expected: Math.round(1_000 * MIB * 0.45),
    high: Math.round(1_000 * MIB * 1.05),
  });
  // Tables of the format beside the contents do not travel.
  const full = forecastOf(machine(disk(900 * MIB, 901 * MIB)));
  assert.deepEqual(full.precopy.wireBytes, thin.precopy.wireBytes);
  assert.doesNotMatch(remarks(thin), /whole size/);
});

Deno.test("a disk of which nobody knows what it takes counts whole, and the answer says so", () => {
  const unknown = forecastOf(machine(disk(900 * MIB, null)));
  assert.equal(unknown.precopy.wireBytes!.high, Math.round(1_000 * MIB * 1.05));
  assert.match(remarks(unknown), /disk root .* its whole size is counted/);
});

Deno.test("a path that no move has measured gives durations at assumed rates, named as such", () => {
  const { rate, precopy, stopAndCopy } = forecastOf(machine());
  assert.deepEqual(rate, { source: "assumed", bytesPerSecond: ASSUMED_RATE });
  assert.match(precopy.remarks.join("\n"), /20 Mbit\/s are assumed, between 5 and 100/);
  // Fewest bytes at 100 Mbit/s, most at 5; four round trips of 80 ms beside them.
  assert.equal(precopy.totalMs!.low, Math.round(20 * MIB / 12.5e6 * 1000 + 320));
  assert.equal(precopy.totalMs!.high, Math.round(105 * MIB / 625e3 * 1000 + 320));
  assert.deepEqual(stopAndCopy.downtimeMs, stopAndCopy.totalMs);
  // 90 ms of work and 40 ms of path, and at least some transfer of device state.
  assert.ok(precopy.downtimeMs!.low > 130 && precopy.downtimeMs!.low < 200);
});

Deno.test("a measured path counts alone, and a cap below it limits it", () => {
  const measured = path({ bottleneckBytesPerSecond: 10_000_000.4 });
  const { rate, precopy } = forecastOf(machine(), measured);
  const same = { low: 10_000_000, expected: 10_000_000, high: 10_000_000 };
  assert.deepEqual(rate, { source: "measured", bytesPerSecond: same });
  assert.doesNotMatch(precopy.remarks.join("\n"), /assumed|cap/);
  const capped = forecastOf(machine(), measured, 1_000_000);
  assert.equal(capped.rate.bytesPerSecond.high, 1_000_000);
  assert.match(remarks(capped), /cap of 1000000 bytes per second/);
  assert.doesNotMatch(remarks(forecastOf(machine(), measured, 20_000_000)), /cap/);
});

Deno.test("a round trip that is not known is said, and adds nothing", () => {
  const known = forecastOf(machine());
  const unknown = forecastOf(machine(), path({ roundTripMs: null, minRoundTripMs: null }));
  assert.match(remarks(unknown), /round trip is not known/);
  assert.equal(known.precopy.totalMs!.expected - unknown.precopy.totalMs!.expected, 320);
});

Deno.test("every forecast is whole numbers from low to high", () => {
  const size = fc.integer({ min: 0, max: 2 ** 41 });
  const disks = fc.array(fc.tuple(size, fc.option(size)), { maxLength: 3 });
  const rate = fc.option(fc.double({ min: 4_000, max: 1e10, noNaN: true }));
  const cap = fc.option(fc.integer({ min: 1024, max: 1e10 }));
  fc.assert(fc.property(disks, rate, cap, fc.option(fc.nat(2_000)), (sizes, rate, cap, rtt) => {
    const measured = path({ bottleneckBytesPerSecond: rate, minRoundTripMs: rtt });
    const of = forecastOf(machine(...sizes.map(([all, taken]) => disk(all, taken))), measured, cap);
    const ranges = [of.precopy, of.stopAndCopy].flatMap((each) => [
      each.totalMs!,
      each.wireBytes!,
      each.downtimeMs!,
    ]);
    for (const range of [of.rate.bytesPerSecond, ...ranges] as PlanRange[]) {
      assert.ok(Number.isSafeInteger(range.low) && Number.isSafeInteger(range.high));
      assert.ok(range.low <= range.expected && range.expected <= range.high);
    }
  }));
});
