import assert from "node:assert/strict";
import type { GuestView, Plan } from "../../src/gateway/service.ts";
import { requires } from "../../src/testing/requirements.ts";
import { KillableSites } from "./support/killable_sites.ts";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const MIB = 1024 * 1024;
const needs = await requires("qemu", "guestImage", "cpio");
const request = { guest: "g", to: "b" };

Deno.test("a plan over a path that carried no move forecasts duration and pause, and touches nothing", async () => {
  await using sites = await ReferenceSites.start({ delayMs: 20, bytesPerSecond: null });
  await sites.register("a", "source");
  const plan = await sites.a.plan(request);
  assert.equal(plan.rate.source, "assumed");
  assert.ok(plan.path.roundTripMs! >= 40);
  for (const { totalMs, downtimeMs, wireBytes } of plan.strategies) {
    assert.ok(totalMs!.low > 0 && downtimeMs!.low > 0);
    assert.ok(wireBytes!.high <= 1.05 * 24 * MIB);
  }
  assert.deepEqual(plan.findings, []);
  assert.deepEqual(sites.a.migrations(), []);
  await sites.assertMovesNow();
});

Deno.test("a plan tells what stands in the way of a move, as far as this site knows", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "incoming");
  const codes = async () => (await sites.a.plan(request)).findings.map(({ code }) => code);
  assert.deepEqual(await codes(), ["guest_not_source"]);
  await sites.a.deleteGuest("g", true);
  const id = await sites.move();
  assert.deepEqual(await codes(), ["guest_moving"]);
  await sites.assertArrives(id);
});

Deno.test("a plan passes on what the machine's own preflight finds", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  const finding = {
    severity: "refusal" as const,
    code: "migration_blocked",
    message: "Cannot move: a device says no",
    hint: "Remove it",
  };
  sites.faults.at("a", "source.preflight", () => Promise.resolve([finding]));
  assert.deepEqual((await sites.a.plan(request)).findings, [finding]);
});

Deno.test("a plan for a peer that is away says so and forecasts at assumed rates", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.sites.stopSite("b");
  sites.sites.breakPath("cut");
  const plan = await sites.a.plan(request);
  assert.deepEqual(plan.findings.map(({ severity, code }) => [severity, code]), [
    ["warning", "peer_unreachable"],
  ]);
  assert.equal(plan.rate.source, "assumed");
  assert.ok(plan.strategies[0].totalMs!.high > 0);
  sites.sites.heal();
  await sites.sites.startSite("b");
});

Deno.test(
  "a plan of a real machine counts what its image takes, and finds nothing against it",
  needs,
  async () => {
    await using sites = await KillableSites.start({ booted: false });
    const before = await sites.machine.migrationStatus();
    const api = await sites.a.api();
    const plan = await api.call<Plan>("POST", "/plan", { guest: "vm", to: "b" });
    assert.deepEqual(plan.findings, []);
    const { allocatedBytes, sizeBytes } = (await api.call<GuestView>("GET", "/guests/vm"))
      .description!.disks[0];
    assert.ok(allocatedBytes! < sizeBytes, "the image is new and thin");
    const { wireBytes, totalMs, downtimeMs } = plan.strategies[0];
    // The machine is starting and may have written a little between both answers.
    assert.ok(wireBytes!.high < 1.05 * (160 * MIB + sizeBytes / 2));
    assert.ok(totalMs!.low > 0 && downtimeMs!.low > 0);
    assert.deepEqual(plan.strategies[0].remarks.filter((text) => text.includes("whole size")), []);
    assert.equal(await sites.machine.migrationStatus(), before);
    await sites.machine.assertTidy();
  },
);
