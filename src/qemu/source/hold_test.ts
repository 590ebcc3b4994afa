import assert from "node:assert/strict";
import { differsEnough, holdBandwidth, IDLE_BYTES_PER_SECOND } from "./hold.ts";

const MIB = 1024 * 1024;

for (
  const [name, remainingBytes, boundBytesPerSecond, expected] of [
    ["an idle machine crawls", 0, 1024 * MIB, IDLE_BYTES_PER_SECOND],
    ["a whole memory goes at the bound", 256 * MIB, 1024 * MIB, 1024 * MIB],
    ["a small hot set gets what drains it", MIB, 1024 * MIB, 10 * MIB],
    ["the caller's bound holds for an idle machine, too", 0, 1000, 1000],
    ["the caller's bound holds for a busy machine", 256 * MIB, 5 * MIB, 5 * MIB],
  ] as const
) {
  Deno.test(name, () => {
    assert.equal(
      holdBandwidth({ remainingBytes, boundBytesPerSecond }),
      expected,
    );
  });
}

Deno.test("small changes of bandwidth are not worth a command", () => {
  assert.equal(differsEnough(100, 110), false);
  assert.equal(differsEnough(100, 130), true);
  assert.equal(differsEnough(100, 70), true);
});
