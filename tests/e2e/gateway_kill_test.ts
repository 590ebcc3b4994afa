import assert from "node:assert/strict";
import { requires } from "../../src/testing/requirements.ts";
import { eventually, KillableSites, type WatchedQemu } from "./support/killable_sites.ts";

const needs = await requires("qemu", "guestImage", "cpio");
/** The promise, from the kill of the source gateway to the machine running. */
const RUNS_AGAIN_MS = 5_000;
/** Slow enough to act in the middle of the copy, bytes per second. */
const SLOW = 2_000_000;
/** Takes a gateway into the write of a decision and keeps it there for so many rows of nothing. */
const stuckAt = (kind: string, rows: number) =>
  `CREATE TRIGGER stuck BEFORE INSERT ON migration_event WHEN NEW.kind = '${kind}'
   BEGIN SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
     SELECT count(*) FROM n); END`;
/** Minutes at least. */
const FOR_EVER = 1e12;
/** A second or more: longer than it takes to kill the other gateway. */
const A_WHILE = 5e6;

Deno.test(
  "whatever is killed, a real machine runs at one site and verifies itself",
  needs,
  async (t) => {
    await using sites = await KillableSites.start();
    const { machine } = sites;

    await t.step("the destination's gateway, while copying", async () => {
      const id = await copying(sites);
      sites.b.kill("SIGKILL");
      const report = await sites.ended("a", id);
      assert.equal(report.state, "failed");
      await assertRunsAtSource(sites, id, ["peer_restarted", "gateway_restarted"]);
    });

    await t.step("the destination's QEMU, while copying", async () => {
      const destination = await sites.incoming();
      const id = await copying(sites, destination);
      await destination.process.kill();
      await assertRunsAtSource(sites, id, ["guest_gone"]);
      const there = await sites.ended("b", id);
      assert.equal(there.error?.code, "guest_gone");
    });

    await t.step("the socket of the source's monitor, in pre-switchover", async () => {
      await sites.incoming();
      const gate = machine.reaches("pre-switchover");
      const id = await sites.move();
      await sites.during(id, gate);
      sites.monitor.vanish();
      await sites.until("a", id, ({ phase }) => phase.startsWith("giving the machine back:"));
      sites.monitor.restore();
      await assertRunsAgain(machine);
      await assertRunsAtSource(sites, id, ["guest_unreachable"]);
    });

    await t.step("the source's gateway, in pre-switchover", async () => {
      await sites.incoming();
      const gate = machine.reaches("pre-switchover");
      const id = await sites.move();
      await sites.during(id, gate);
      sites.a.kill("SIGKILL");
      assert.equal(await machine.migrationStatus(), "pre-switchover");
      await assertRunsAgain(machine);
      await assertRunsAtSource(sites, id, ["gateway_restarted"]);
    });

    await t.step("the source's gateway, in device", async () => {
      await sites.incoming();
      const gate = machine.reaches("pre-switchover");
      const id = await sites.move();
      await sites.during(id, gate);
      // Stopped, it neither reads the device state nor answers QEMU's last question, which keeps QEMU
      // in this state, without an ear for its monitors.
      sites.a.kill("SIGSTOP");
      const device = machine.reaches("device");
      await machine.monitor.execute("migrate-continue", { state: "pre-switchover" });
      await device;
      sites.a.kill("SIGKILL");
      await assertRunsAgain(machine);
      await assertRunsAtSource(sites, id, ["gateway_restarted"]);
    });

    await t.step("the source's gateway, after completed and before the record", async () => {
      await sites.incoming();
      withLedger(sites, "a", stuckAt("handoverWritten", FOR_EVER));
      const completed = machine.reaches("completed");
      const id = await sites.move();
      await sites.during(id, completed);
      await eventually("postmigrate", async () => await machine.status() === "postmigrate");
      sites.a.kill("SIGKILL");
      await assertRunsAgain(machine);
      withLedger(sites, "a", "DROP TRIGGER stuck");
      await assertRunsAtSource(sites, id, ["gateway_restarted"]);
    });

    await t.step("both gateways, between the record and the owner record", async () => {
      const destination = await sites.incoming();
      withLedger(sites, "b", stuckAt("owned", FOR_EVER));
      const loaded = destination.reaches("completed");
      const id = await sites.move();
      await sites.during(id, loaded);
      sites.a.kill("SIGKILL");
      await sites.until("a", id, ({ state }) => state === "inDoubt");
      assert.equal(await machine.status(), "postmigrate", "nobody may run it yet");
      assert.equal(await destination.status(), "paused");
      sites.b.kill("SIGKILL");
      withLedger(sites, "b", "DROP TRIGGER stuck");
      await assertRunsAtSource(sites, id, ["gateway_restarted"]);
      await destination.process.exited;
    });

    await t.step("the source's gateway, after the hand-over has arrived", async () => {
      const destination = await sites.incoming();
      withLedger(sites, "b", stuckAt("owned", A_WHILE));
      const loaded = destination.reaches("completed");
      const id = await sites.move();
      await sites.during(id, loaded);
      sites.a.kill("SIGKILL");
      const report = await sites.ended("a", id);
      assert.equal(report.state, "completed", JSON.stringify(report.error));
      assert.equal(await destination.status(), "running");
      await machine.process.exited;
      await destination.assertVerifies();
    });
  },
);

Deno.test(
  "a source machine that is killed in the middle ends the move, and runs nowhere",
  needs,
  async () => {
    await using sites = await KillableSites.start({ booted: false });
    const destination = await sites.incoming();
    const id = await copying(sites, destination);
    await sites.machine.process.kill();
    const report = await sites.ended("a", id);
    assert.equal(report.state, "failed");
    assert.equal(report.error?.code, "guest_gone");
    assert.equal(report.machine.runState, "gone");
    assert.equal((await sites.ended("b", id)).error?.code, "guest_gone");
    await destination.process.exited;
  },
);

/** A move that is in the middle of its disk. */
async function copying(sites: KillableSites, destination?: WatchedQemu): Promise<string> {
  if (!destination) await sites.incoming();
  const id = await sites.move({ rate: SLOW });
  await sites.until("a", id, ({ wireBytes }) => wireBytes.total > SLOW / 4);
  return id;
}

async function assertRunsAgain(machine: WatchedQemu): Promise<void> {
  const killedMs = performance.now();
  await eventually("running again", async () => await machine.status() === "running");
  const pausedMs = Math.round(performance.now() - killedMs);
  assert.ok(pausedMs < RUNS_AGAIN_MS, `the machine stood still for ${pausedMs} ms`);
}

async function assertRunsAtSource(
  sites: KillableSites,
  id: string,
  codes: readonly string[],
): Promise<void> {
  const report = await sites.ended("a", id);
  assert.equal(report.state, "failed", sites.a.log);
  assert.ok(codes.includes(report.error!.code), JSON.stringify(report.error));
  assert.equal(await sites.machine.status(), "running");
  await sites.machine.assertTidy();
  await sites.machine.assertVerifies();
}

function withLedger(sites: KillableSites, site: "a" | "b", sql: string): void {
  const database = sites.ledger(site);
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}
