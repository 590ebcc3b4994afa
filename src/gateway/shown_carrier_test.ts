import assert from "node:assert/strict";
import { carrierText, shownCarrier } from "./shown_carrier.ts";

const overTcp = {
  kind: "tls",
  reason: "UDP gave no answer where TCP did",
  sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  congestionControl: "bbr",
} as const;

Deno.test("shownCarrier() has the API's form of what carries a link", () => {
  assert.equal(shownCarrier(null), null);
  assert.deepEqual(shownCarrier(overTcp), {
    kind: "tls",
    reason: "UDP gave no answer where TCP did",
    since: "2026-01-02T03:04:05.000Z",
    congestionControl: "bbr",
  });
});

Deno.test("carrierText() names carrier, congestion control and reason", () => {
  assert.equal(carrierText(overTcp), "over TLS (TCP, bbr): UDP gave no answer where TCP did");
  assert.equal(
    carrierText({ ...overTcp, congestionControl: null }),
    "over TLS (TCP): UDP gave no answer where TCP did",
  );
  const overUdp = { ...overTcp, kind: "quic", reason: "UDP passes", congestionControl: null };
  assert.equal(carrierText({ ...overUdp, kind: "quic" }), "over QUIC (UDP): UDP passes");
});
