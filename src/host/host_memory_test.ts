import assert from "node:assert/strict";
import { hostMemory, parseMemoryInfo } from "./host_memory.ts";

const TEXT = `MemTotal:       24731708 kB
MemFree:        19736420 kB
MemAvailable:   22320444 kB
SwapTotal:       1000000 kB
`;

Deno.test("a host's memory is what is available, and all of it with its swap", () => {
  assert.deepEqual(parseMemoryInfo(TEXT), {
    availableBytes: 22_320_444 * 1024,
    totalBytes: 25_731_708 * 1024,
  });
  assert.equal(parseMemoryInfo(TEXT.replace(/Swap.*/, ""))?.totalBytes, 24_731_708 * 1024);
});

Deno.test("a text without the figures tells nothing", () => {
  for (const text of ["", TEXT.replace("MemAvailable", "MemOther"), "MemTotal: many kB"]) {
    assert.equal(parseMemoryInfo(text), null);
  }
});

Deno.test("this host tells of its own", async () => {
  const memory = await hostMemory();
  assert.ok(memory !== null && memory.availableBytes > 0);
  assert.ok(memory.totalBytes > memory.availableBytes);
});
