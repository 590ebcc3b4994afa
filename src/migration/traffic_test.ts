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
      const dataBytes = (dataUnits + namedUnits) * UNIT_BYTES;
      meter.sentDisk(
        { offeredBytes: dataBytes, dataBytes, saved: { hole: 0, zero: 0, unchanged: 0, warm: 0 } },
        Math.floor(bodyBytes * packedShare),
        namedUnits * (UNIT_BYTES - NAME_BYTES),
      );
      const needed = Math.floor(namedUnits * neededShare);
      meter.needed(needed, Math.floor(needed * UNIT_BYTES * packedShare));
    }
    const savedBytes = Object.values(meter.saved).reduce((sum, bytes) => sum + bytes, 0);
    assert.equal(meter.rawBytes, offeredBytes);
    assert.ok(meter.saved.duplicate >= 0);
    // While answers are mostly description there is nothing that compression has saved.
    if (meter.saved.compression > 0) assert.equal(meter.payloadBytes + savedBytes, offeredBytes);
    else assert.ok(meter.payloadBytes + savedBytes >= offeredBytes);
  }));
});
