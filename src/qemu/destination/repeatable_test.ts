import assert from "node:assert/strict";
import { isRepeatable } from "./repeatable.ts";

const PING = [0x08, 0, 2, 0, 4, 0, 0, 0, 1];
const SWITCHOVER_START = [0x08, 0, 11, 0, 0];
const POSTCOPY_LISTEN = [0x08, 0, 4, 0, 0];
const DEVICE_SECTION = [0x04, 0, 0, 0, 9, 5, 0x74];

Deno.test("only commands of which nothing stays may be repeated", () => {
  const repeatable = (...parts: number[][]) => isRepeatable(Uint8Array.from(parts.flat()));
  assert.ok(repeatable(SWITCHOVER_START));
  assert.ok(repeatable(PING, SWITCHOVER_START, PING));
  assert.ok(repeatable());
  assert.ok(!repeatable(POSTCOPY_LISTEN));
  assert.ok(!repeatable(SWITCHOVER_START, DEVICE_SECTION));
  assert.ok(!repeatable(PING.slice(0, 8)), "cut");
  assert.ok(!repeatable([0x08, 0, 11, 0, 1, 0]), "of another length");
});
