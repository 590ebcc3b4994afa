import assert from "node:assert/strict";
import { createMemoryEncoder } from "./memory_encoder.ts";
import { BATCH_BYTES_MAX, checkLevel } from "./envelope.ts";
import { PAYLOAD_BYTES_MAX } from "../wire/limits.ts";

Deno.test("the longest batch fits one frame", () => {
  assert.ok(BATCH_BYTES_MAX <= PAYLOAD_BYTES_MAX);
});

Deno.test("levels that zlib reads as not set, or does not know, are refused", () => {
  for (const level of [0, -1, -8, 23, 1.5, NaN]) {
    assert.throws(() => checkLevel(level), RangeError, `${level}`);
    assert.throws(() => createMemoryEncoder({ level }), RangeError, `${level}`);
  }
  for (const level of [-7, -2, 1, 3, 22]) checkLevel(level);
});
