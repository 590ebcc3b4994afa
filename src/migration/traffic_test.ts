import assert from "node:assert/strict";
import fc from "fast-check";
import { NAME_BYTES, UNIT_BYTES } from "../image/content_name.ts";
import { TrafficMeter } from "./traffic.ts";

const step = fc.record({
  dataUnits: fc.nat(64),
  namedUnits: fc.nat(64),
  neededShare: fc.double({ min: 0, max: 1, noNaN: true }),
  packedShare: fc.double({ min: 0, max: 1, noNaN: true }),
});

Deno.test("bytes sent and saved are the bytes offered, whatever was named and asked for", () => {
  fc.assert(fc.property(fc.array(step), (steps) => {
    const meter = new TrafficMeter();
    let offeredBytes = 0;
    for (const { dataUnits, namedUnits, neededShare, packedShare } of steps) {
      offeredBytes += (dataUnits + namedUnits) * UNIT_BYTES;
      const bodyBytes = dataUnits * UNIT_BYTES + namedUnits * NAME_BYTES;
      meter.sent(bodyBytes, Math.floor(bodyBytes * packedShare));
      meter.named(namedUnits * (UNIT_BYTES - NAME_BYTES));
      const needed = Math.floor(namedUnits * neededShare);
      meter.needed(needed, Math.floor(needed * UNIT_BYTES * packedShare));
    }
    const savedBytes = Object.values(meter.saved).reduce((sum, bytes) => sum + bytes, 0);
    assert.equal(meter.rawBytes, offeredBytes);
    assert.ok(meter.saved.duplicate >= 0);
    assert.equal(meter.payloadBytes + savedBytes, offeredBytes);
  }));
});
