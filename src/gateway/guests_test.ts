import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import type { Guest, RunState } from "../guest/guest.ts";
import { type GuestDefinition, guestDefinition } from "../guest/definition.ts";
import { openLedger } from "../ledger/ledger.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { GuestRegistry } from "./guests.ts";

const INCOMING: GuestDefinition = guestDefinition.parse({
  kind: "qemu",
  role: "incoming",
  qmp: "/run/g.qmp",
});

const LAUNCHED: GuestDefinition = guestDefinition.parse({
  kind: "qemu",
  role: "source",
  launch: { argv: ["qemu-system-x86_64"], disks: [] },
});

/** A site with one attached machine, whose run state the test decides. */
function site() {
  const ledger = openLedger(":memory:", new VirtualClock(Date.UTC(2026, 0, 1)));
  const machine = { state: "incoming" as RunState, ends: 0 };
  const guest = {
    runState: () => Promise.resolve(machine.state),
    detach: () => Promise.resolve(),
    end: () => {
      machine.ends++;
      machine.state = "gone";
      return Promise.resolve();
    },
  } as unknown as Guest;
  return { machine, ledger, guests: new GuestRegistry("b", ledger, () => Promise.resolve(guest)) };
}

Deno.test("a machine that moved here and runs keeps its role when it is registered as before", async () => {
  const { machine, guests, ledger } = site();
  await guests.put("g", INCOMING);
  machine.state = "running";
  guests.setRole("g", "source");
  await guests.put("g", INCOMING);
  assert.equal(guests.get("g").role, "source");
  assert.equal(ledger.guests()[0].role, "source");
});

Deno.test("a new process that waits behind the monitor of one that ran here is registered as incoming", async () => {
  const { guests, ledger } = site();
  await guests.put("g", INCOMING);
  guests.setRole("g", "source");
  await guests.put("g", INCOMING);
  assert.equal(guests.get("g").role, "incoming");
  assert.equal(ledger.guests()[0].role, "incoming");
});

Deno.test("a machine that waits since a readmission that was cut short is ended and started anew", async () => {
  const { machine, guests } = site();
  await guests.put("g", LAUNCHED);
  await guests.readmit("g");
  assert.equal(machine.ends, 1);
  assert.equal(guests.get("g").role, "incoming");
});

Deno.test("a machine that runs is not readmitted", async () => {
  const { machine, guests } = site();
  await guests.put("g", LAUNCHED);
  machine.state = "running";
  await assert.rejects(() => guests.readmit("g"), { code: "destination_not_registered" });
  assert.equal(machine.ends, 0);
});

Deno.test("a machine that was to arrive is gone once nobody has its monitor, and only then", async () => {
  const refused = new Deno.errors.ConnectionRefused("refused");
  const missing = new Deno.errors.NotFound("missing");
  const asked = async (cause: Error, started: boolean): Promise<string> => {
    const ledger = openLedger(":memory:", new VirtualClock(Date.UTC(2026, 0, 1)));
    ledger.putGuest({ id: "g", definition: INCOMING, role: "incoming" });
    const guests = new GuestRegistry("b", ledger, () => {
      throw new GatewayError("guest_unreachable", "Cannot reach it", { hint: "", cause });
    });
    await guests.restore();
    return await guests.arrivedMachine("g", started).then(() => "there", ({ code }) => code);
  };
  assert.equal(await asked(refused, false), "guest_gone");
  assert.equal(await asked(refused, true), "guest_gone");
  assert.equal(await asked(missing, false), "guest_gone");
  // Somebody may have removed the file of a machine that runs.
  assert.equal(await asked(missing, true), "guest_unreachable");
  assert.equal(await asked(new Error("silent"), false), "guest_unreachable");
});
