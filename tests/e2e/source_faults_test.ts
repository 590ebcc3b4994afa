import assert from "node:assert/strict";
import { GatewayError } from "../../src/core/errors.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { machineDefinition, ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

for (const when of ["while copying", "at the gate"] as const) {
  Deno.test(`a source machine killed ${when} ends the move with guest_gone, at both sites`, async () => {
    await using sites = await ReferenceSites.start(SLOW_PATH);
    if (when === "at the gate") {
      sites.faults.at("a", "memory.pauseAtGate", async (pause) => {
        await pause();
        await sites.killMachine("a");
        return await new Promise(() => {});
      });
    }
    const id = await sites.move();
    if (when === "while copying") {
      await sites.copying(id);
      await sites.killMachine("a");
    }
    const report = await sites.sites.ended("a", id);
    assert.equal(report.state, "failed");
    assert.equal(report.error?.code, "guest_gone");
    assert.deepEqual(report.machine, { site: "a", runState: "gone" });
    const there = await sites.sites.ended("b", id);
    assert.equal(there.error?.code, "guest_gone");
    assert.equal((await sites.a.guest("g")).runState, "gone");
    assert.equal((await sites.b.guest("g")).runState, "gone", "an incomplete machine never runs");
    assert.deepEqual(sites.violations, []);
  });
}

Deno.test("a source disk that cannot be read ends the move, the machine goes on", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "source.beginDiskRound", () =>
    Promise.reject(
      new GatewayError("disk_io", "Cannot read disk0: input/output error", {
        hint: "Look at the storage of this machine",
      }),
    ));
  await sites.assertStays(await sites.move(), "disk_io");
});

Deno.test("a defect in the driver of the source undoes its move and disturbs no other", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  sites.faults.at("a", "source.dirtyDisks", () => {
    throw new TypeError("undefined is not a function");
  });
  const ids = [await sites.move({}, "one"), await sites.move({}, "two")];
  const ends = await Promise.all(ids.map((id) => sites.sites.ended("a", id)));
  const failed = ends.find(({ state }) => state === "failed")!;
  const other = ends.find(({ state }) => state === "completed")!;
  assert.ok(failed && other, ends.map(({ state }) => state).join(" "));
  assert.equal(failed.error?.code, "internal");
  await sites.assertRunsWhole("a", failed.guest);
  await sites.assertRunsWhole("b", other.guest);
});

Deno.test("a machine that cannot be given back at once is given back as soon as it answers", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.copying(id);
  let failures = 3;
  sites.faults.at("a", "source.restore", (restore) => {
    if (--failures < 0) return restore();
    return Promise.reject(
      new GatewayError("guest_unreachable", "Cannot reach g: its socket does not answer", {
        hint: "Wait",
      }),
    );
  }, { stays: true });
  await sites.a.cancel(id);
  await sites.sites.until(
    "a",
    id,
    ({ phase }) => /giving the machine back: Cannot reach/.test(phase),
  );
  assert.equal((await sites.sites.ended("a", id)).state, "cancelled");
  await sites.assertRunsWhole("a");
});

Deno.test("a machine that is moving is neither moved, registered nor removed a second time", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  const again = () =>
    sites.a.startMigration({ guest: "g", to: "b", options: migrationOptions.parse({}) });
  await assert.rejects(again, { code: "guest_moving" });
  for (const site of [sites.a, sites.b]) {
    await assert.rejects(() => site.deleteGuest("g", true), { code: "guest_moving" });
    await assert.rejects(() => site.putGuest("g", machineDefinition("source")), {
      code: "guest_moving",
    });
  }
  await sites.assertArrives(id);
});

Deno.test("two requests at once for one machine start one move", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const request = { guest: "g", to: "b", options: migrationOptions.parse({}) };
  const answers = await Promise.allSettled([
    sites.a.startMigration(request),
    sites.a.startMigration(request),
  ]);
  const started = answers.flatMap((each) => each.status === "fulfilled" ? [each.value.id] : []);
  assert.equal(started.length, 1);
  const refused = answers.find(({ status }) => status === "rejected") as PromiseRejectedResult;
  assert.equal(refused.reason.code, "guest_moving");
  await sites.assertArrives(started[0]);
});

Deno.test("unknown guests, peers and migrations are told by name", async () => {
  await using sites = await ReferenceSites.start();
  const options = migrationOptions.parse({});
  const start = (guest: string, to: string) => sites.a.startMigration({ guest, to, options });
  await assert.rejects(() => start("nobody", "b"), { code: "guest_unknown", message: /nobody/ });
  await sites.register("a", "source");
  await assert.rejects(() => start("g", "nowhere"), { code: "peer_unknown", message: /nowhere/ });
  assert.throws(() => sites.a.migration("none"), { code: "migration_unknown", message: /none/ });
  assert.equal((await sites.a.guest("g")).runState, "running");
});
