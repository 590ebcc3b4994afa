import assert from "node:assert/strict";
import { sampleGuest, samplePeer } from "../../http/testing/fake_service.ts";
import type { Finding } from "./finding.ts";
import { findingLines, ok, warn } from "./finding.ts";
import { judgeGuests, judgeQemu } from "./machines.ts";
import { judgeReceiveBuffers } from "./network.ts";
import { judgePeer } from "./peer.ts";
import { judgeDisk, judgeLedger } from "./storage.ts";

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Every verdict comes with something to do, or needs nothing. */
function verdicts(...findings: Finding[]): string[] {
  for (const { verdict, hint } of findings) assert.equal(verdict === "ok", hint === "", hint);
  return findings.map(({ verdict }) => verdict);
}

Deno.test("a disk is judged by what the limits allow the site to keep", () => {
  assert.deepEqual(
    verdicts(
      judgeDisk("/s", 40 * GIB, 33 * GIB),
      judgeDisk("/s", 10 * GIB, 33 * GIB),
      judgeDisk("/s", 10 * MIB, 0),
      judgeDisk("/s", null, 0),
    ),
    ["ok", "warn", "fail", "warn"],
  );
});

Deno.test("a ledger that is not there yet is fine, one that is damaged is not", () => {
  assert.deepEqual(
    verdicts(
      judgeLedger("/l", null),
      judgeLedger("/l", { problem: null, guests: [] }),
      judgeLedger("/l", { problem: "it is damaged", guests: [] }),
    ),
    ["ok", "ok", "fail"],
  );
});

Deno.test("receive buffers are judged by what the gateway's sockets get", () => {
  assert.deepEqual(
    verdicts(
      judgeReceiveBuffers(4 * MIB, 4 * MIB),
      judgeReceiveBuffers(212_992, 64 * MIB),
      judgeReceiveBuffers(212_992, 212_992),
      judgeReceiveBuffers(null, null),
    ),
    ["ok", "ok", "warn", "warn"],
  );
});

Deno.test("QEMU is judged by its version", () => {
  const text = (version: string) => `QEMU emulator version ${version} (Debian 1:x)\nCopyright`;
  const versions = ["10.0.2", "8.1.0", "8.0.5", "7.2.13", "7.1.0", "2.11"];
  assert.deepEqual(
    verdicts(...versions.map((version) => judgeQemu(text(version)))),
    ["ok", "ok", "warn", "warn", "fail", "fail"],
  );
  assert.deepEqual(verdicts(judgeQemu(null), judgeQemu("no version here")), ["warn", "warn"]);
});

Deno.test("a machine whose monitor is gone fails, one that has ended is a warning", () => {
  const description = { ...sampleGuest("vm").description!, kind: "qemu" as const };
  const qemu = (version: string) => ({
    ...sampleGuest("vm"),
    kind: "qemu" as const,
    runState: "running",
    description: { ...description, version },
  });
  assert.deepEqual(
    verdicts(...judgeGuests([
      qemu("10.0.2"),
      qemu("7.2.0"),
      { ...sampleGuest("vm"), runState: "unreachable", description: null },
      { ...sampleGuest("vm"), runState: "gone", description: null },
    ])),
    ["ok", "warn", "fail", "warn"],
  );
});

Deno.test("a peer is judged by its link: up, silent, refused, unknown or not there", () => {
  const up = samplePeer({ state: "up", clockOffsetMs: 20 });
  const down = samplePeer({ state: "down" });
  assert.deepEqual(verdicts(...judgePeer("p", up)), ["ok", "ok"]);
  assert.deepEqual(verdicts(...judgePeer("p", { ...up, path: { ...up.path, silentMs: 9_000 } })), [
    "warn",
  ]);
  const lastError = { code: "peer_not_trusted", message: "it refused", hint: "trust it there" };
  const refused = judgePeer("p", { ...down, lastError });
  assert.deepEqual(verdicts(...refused), ["fail"]);
  assert.equal(refused[0].hint, "trust it there");
  for (const view of [down, { ...down, address: null }, null]) {
    assert.deepEqual(verdicts(...judgePeer("p", view)), ["fail"]);
  }
});

Deno.test("a clock that is off by seconds is a warning, by minutes a failure", () => {
  const offsets = [0, 900, -900, 1_000, -59_000, 60_000, -3_600_000, null];
  assert.deepEqual(
    offsets.map((clockOffsetMs) =>
      verdicts(...judgePeer("p", samplePeer({ state: "up", clockOffsetMs })))[1]
    ),
    ["ok", "ok", "ok", "warn", "warn", "fail", "fail", "warn"],
  );
});

Deno.test("findings are one line each, with what to do below, and a count at the end", () => {
  assert.deepEqual(findingLines([ok("disk", "12 GiB free"), warn("QEMU", "7.2", "Use 8.1")]), [
    "ok    disk  12 GiB free",
    "warn  QEMU  7.2",
    "            Use 8.1",
    "0 fail, 1 warn, 1 ok",
  ]);
});
