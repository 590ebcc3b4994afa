import assert from "node:assert/strict";
import { RedirectWorld } from "../../src/testing/redirect_world.ts";
import { requires } from "../../src/testing/requirements.ts";

const MOVE_MS_MAX = 60_000;

Deno.test({
  name:
    "over a tunnel the machine is reached at the other site, and directly when it is home again",
  ...await requires("namespaces", "tun", "nftables"),
  async fn() {
    await using world = await RedirectWorld.start("metro", "tunnel");
    // No limit and a long silence: what ends the redirect is that the machine comes home.
    const host = await world.stand({ idleMs: 60_000, limitMs: null });
    await world.place(host, "a");
    const before = await lookAt(world);
    await world.answers();
    const away = await world.move("a");
    const { api } = world.site("a");
    await api.until(away, ({ state }) => state === "completed", MOVE_MS_MAX);
    await world.place(host, "b");
    await world.untilRedirect("a", away, "draining");
    await world.answers();
    const { addresses } = (await world.redirect("a", away))!;
    assert.ok(addresses[0].traffic!.fromMachinePackets > 0, "its answers took another way");

    await api.call("POST", `/migrations/${away}/rollback`);
    const back = await api.until(away, ({ state }) => state === "rolledBack", MOVE_MS_MAX);
    for (const migration of [away, back.rollback!.migration]) {
      await world.untilRedirect("a", migration, "retired", 10_000);
    }
    await world.place(host, "a");
    assert.equal(await lookAt(world), before, "something is left at home");
    const counted = (await world.redirect("b", away))!.addresses[0].traffic!;
    await world.answers();
    const later = (await world.redirect("b", away))!.addresses[0].traffic!;
    assert.deepEqual(later, counted, "packets still go by the other site");
  },
});

/** What is set at home, but for the test's own cable. */
async function lookAt(world: RedirectWorld): Promise<string> {
  return (await world.look("a")).replaceAll(/^host@.*\n/gm, "");
}
