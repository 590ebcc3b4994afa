import assert from "node:assert/strict";
import { GatewayError } from "../../src/core/errors.ts";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const full = () =>
  new GatewayError("disk_full", "Cannot write to disk0: no space left on device", {
    hint: "Free space at the destination, or use a larger disk",
  });
const broken = () =>
  new GatewayError("disk_io", "Cannot write to disk0: input/output error", {
    hint: "Look at the storage of the destination",
  });

for (const error of [full(), broken()]) {
  Deno.test(`a destination disk that fails with ${error.code} ends the move at both sites, the machine stays`, async () => {
    await using sites = await ReferenceSites.start(SLOW_PATH);
    let writes = 0;
    sites.faults.at("b", "destination.writeDisk", (call) => {
      return ++writes > 3 ? Promise.reject(error) : call();
    }, { stays: true });
    const id = await sites.move();
    await sites.assertStays(id, error.code);
    sites.faults.clear("b", "destination.writeDisk");
    await sites.assertMovesNow();
  });
}

Deno.test("a destination disk that cannot be flushed is not recorded as a copy", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.flushDisks", () => Promise.reject(broken()));
  const id = await sites.move();
  await sites.assertStays(id, "disk_io");
  assert.ok(!sites.events("b", id).includes("roundRecorded"));
});

Deno.test("a destination machine killed while copying ends the move, the machine stays", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.copying(id);
  await sites.killMachine("b");
  await sites.assertStays(id, "guest_gone");
});

Deno.test("a destination machine killed while it loads is refused, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.load", async (call) => {
    await sites.killMachine("b");
    return await call();
  });
  const id = await sites.move();
  await sites.assertStays(id, "guest_gone");
  assert.ok(sites.events("a", id).includes("refusedByPeer"));
  assert.ok(sites.events("b", id).includes("refused"));
});

Deno.test("a machine that does not load after the hand-over is refused durably, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.load", () =>
    Promise.reject(
      new GatewayError("memory_load_failed", "Cannot load the machine: no device ram.1", {
        hint: "Compare the devices of both machines",
      }),
    ));
  const id = await sites.move();
  await sites.assertStays(id, "memory_load_failed");
  const { epoch, owner } = await sites.a.guest("g");
  assert.deepEqual({ epoch, owner }, { epoch: 2, owner: "a" }, "the refused epoch is used up");
  const refusal = (await sites.b.guest("g")).history.at(-1)!;
  assert.equal(refusal.owner, null);
  assert.match(refusal.reason, /no device ram\.1/);
  await sites.assertMovesNow();
  assert.equal((await sites.b.guest("g")).epoch, 3);
});

Deno.test("disks that cannot be sealed are refused, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.sealDisks", () => Promise.reject(broken()));
  await sites.assertStays(await sites.move(), "disk_io");
});

Deno.test("a destination machine that vanishes before the copy begins ends the move", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.prepare", async (call) => {
    await sites.killMachine("b");
    return await call();
  });
  await sites.assertStays(await sites.move(), "guest_gone");
});

Deno.test("a defect in the driver of the destination ends the move and no other", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  let broke = false;
  sites.faults.at("b", "destination.writeMemory", async (call) => {
    if (broke) return await call();
    broke = true;
    throw new TypeError("undefined is not a function");
  }, { stays: true });
  const [one, two] = [await sites.move({}, "one"), await sites.move({}, "two")];
  const [first, second] = await Promise.all([
    sites.sites.ended("a", one),
    sites.sites.ended("a", two),
  ]);
  const states = [first, second].map(({ state }) => state).sort();
  assert.deepEqual(states, ["completed", "failed"]);
  const failed = first.state === "failed" ? first : second;
  assert.equal(failed.error?.code, "internal");
  assert.match(failed.error!.message, /undefined is not a function/);
  await sites.assertRunsWhole("a", failed.guest);
  await sites.assertRunsWhole("b", failed.guest === "one" ? "two" : "one");
});

Deno.test("a destination that refuses and cannot see its machine end says so at the source", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.load", () => Promise.reject(broken()));
  const silent = new GatewayError(
    "guest_unreachable",
    "Cannot reach guest g: its monitor is lost",
    {
      hint: "The machine itself may live",
    },
  );
  sites.faults.at("b", "destination.abandon", () => Promise.reject(silent), { stays: true });
  const id = await sites.move();
  const { state } = await sites.sites.until(
    "a",
    id,
    ({ phase }) => /b refuses the machine and cannot see .* its monitor is lost/.test(phase),
  );
  assert.equal(state, "inDoubt");
  assert.notEqual((await sites.a.guest("g")).runState, "running", "nothing is concluded from it");
  sites.faults.clear("b", "destination.abandon");
  await sites.assertStays(id, "disk_io");
});
