import assert from "node:assert/strict";
import { overview } from "./redirects.ts";

Deno.test("redirects are shown by address, with where it is, what was carried and what is wrong", () => {
  const traffic = {
    toMachinePackets: 3,
    toMachineBytes: 2048,
    fromMachinePackets: 1,
    fromMachineBytes: 60,
  };
  const address = { ip: "10.1.0.5", mac: null, subnet: null, gateway: null, name: null };
  const view = {
    guest: "web",
    migration: "m",
    side: "old" as const,
    peer: "east",
    state: "failed" as const,
    settled: false,
    since: "2026-01-01T00:00:00.000Z",
    means: ["kernel" as const, "announce" as const],
    problem: "no device br0",
    addresses: [{ ...address, site: "east", traffic }],
    reach: null,
    question: null,
    kept: null,
    history: [{ at: "2026-01-01T00:00:00.000Z", kind: "failed", detail: "no device br0" }],
  };
  const lines = overview([view], true);
  assert.match(lines[1], /^10\.1\.0\.5 +web +east +failed +old +east +kernel\+announce +2\.00 KiB/);
  assert.equal(lines[2], "web: no device br0");
  assert.match(lines[3], /web \(old\) +failed: no device br0$/);
  assert.equal(overview([view], false).length, 3);
  assert.deepEqual(overview([], false), ["No redirects"]);
});
