import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { AUDIT_ENTRIES_MAX, RefusalAudit } from "./refusal_audit.ts";

function world() {
  const clock = new VirtualClock();
  const entries: Record<string, unknown>[] = [];
  const refusals = new RefusalAudit(clock, (kind, body) => entries.push({ kind, ...body }));
  return { clock, entries, refusals };
}

const refusal = (remote: string, code = "peer_not_trusted") => ({ remote, code, message: "no" });

Deno.test("a refusal that repeats is audited once a minute, with how often it came", async () => {
  const { clock, entries, refusals } = world();
  for (let second = 0; second < 65; second += 5) {
    for (let lane = 0; lane < 5; lane++) refusals.add(refusal(`192.0.2.1:${40_000 + lane}`));
    await clock.advance(5_000);
  }
  assert.deepEqual(entries, [
    { kind: "link_refused", ...refusal("192.0.2.1:40000") },
    // Twelve rounds of five but for the one that was written down.
    { kind: "link_refused", ...refusal("192.0.2.1:40000"), repeated: 59 },
  ]);
});

Deno.test("refusals of other hosts and for other reasons are audited for themselves", () => {
  const { entries, refusals } = world();
  refusals.add(refusal("192.0.2.1:1"));
  refusals.add(refusal("192.0.2.2:1"));
  refusals.add(refusal("192.0.2.1:1", "protocol_mismatch"));
  refusals.add(refusal("[2001:db8::1]:1"));
  refusals.add(refusal("[2001:db8::1]:2"));
  assert.deepEqual(entries.map(({ remote, code }) => [remote, code]), [
    ["192.0.2.1:1", "peer_not_trusted"],
    ["192.0.2.2:1", "peer_not_trusted"],
    ["192.0.2.1:1", "protocol_mismatch"],
    ["[2001:db8::1]:1", "peer_not_trusted"],
  ]);
});

Deno.test("a flood from ever new hosts is counted, and writes no more than so many entries", async () => {
  const { clock, entries, refusals } = world();
  for (let host = 0; host < 1_000; host++) refusals.add(refusal(`host-${host}:1`));
  assert.equal(entries.length, AUDIT_ENTRIES_MAX);
  await clock.advance(60_000);
  refusals.add(refusal("host-0:2"));
  assert.deepEqual(entries.slice(AUDIT_ENTRIES_MAX), [
    { kind: "link_refused", ...refusal("host-0:2"), unwritten: 1_000 - AUDIT_ENTRIES_MAX },
  ]);
});
