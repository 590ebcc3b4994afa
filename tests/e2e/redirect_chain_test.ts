import assert from "node:assert/strict";
import { MACHINE, RedirectWorld, type SiteName } from "../../src/testing/redirect_world.ts";
import { requires } from "../../src/testing/requirements.ts";

const MOVE_MS_MAX = 60_000;
/** Long enough for the second move, which has to begin while the first one's packets go round. */
const DRAIN_MS = 14_000;
/** What a busy computer takes to see that the time is over, and to remove what was set. */
const LATE_MS = 5_000;

Deno.test({
  name: "of a machine that went from a to b to c no packet goes round by way of a after the drain",
  ...await requires("namespaces", "tun", "nftables"),
  async fn() {
    await using world = await RedirectWorld.start("metro", "tunnel", { third: true });
    const host = await world.stand({ idleMs: 60_000, limitMs: DRAIN_MS });
    await world.place(host, "a");
    const before = { a: await lookAt(world, "a"), b: await lookAt(world, "b") };

    const moved = async (from: SiteName, to: SiteName) => {
      const id = await world.move(from, {}, to);
      const { api } = world.site(from);
      await api.until(id, ({ state }) => state === "completed", MOVE_MS_MAX);
      await world.place(host, to);
      return { id, arrivedMs: performance.now() };
    };
    const first = await moved("a", "b");
    const second = await moved("b", "c");
    // Meanwhile by way of both: nobody has led the address elsewhere yet.
    await world.answers();
    for (const [at, { id }] of [["a", first], ["b", second]] as const) {
      const { state, addresses } = (await world.redirect(at, id))!;
      assert.equal(state, "draining", at);
      assert.ok(addresses[0].traffic!.toMachinePackets > 0, `${at} carried nothing`);
      assert.ok(addresses[0].traffic!.fromMachinePackets > 0, `${at} carried no answer`);
    }

    for (const [at, { id, arrivedMs }] of [["a", first], ["b", first], ["b", second]] as const) {
      const leftMs = arrivedMs + DRAIN_MS + LATE_MS - performance.now();
      await world.untilRedirect(at, id, "retired", Math.max(0, leftMs));
    }
    await world.untilRedirect("c", second.id, "retired", LATE_MS);
    for (const at of ["a", "b"] as const) {
      assert.equal(await lookAt(world, at), before[at], `something is left at ${at}`);
      // Whatever comes by after the drain is counted by the test's own rules.
      await world.site(at).namespace.run("nft", COUNTERS);
    }
    // By now the site's routers lead the address to c.
    const c = world.site("c").namespace;
    await c.ip("route", "add", MACHINE.ipv4, "dev", "br0");
    await c.ip("addr", "add", "10.1.0.1/32", "dev", "br0");
    await world.client.ip("route", "add", MACHINE.ipv4, "via", "10.0.1.1");
    await world.answers();
    for (const at of ["a", "b"] as const) {
      const rules = await world.site(at).namespace.run("nft", "list", "table", "ip", "cw_chain");
      assert.equal(rules.match(/packets 0 /g)?.length, 2, `${at} still sees it: ${rules}`);
    }
  },
});

const COUNTERS = `table ip cw_chain {
  chain seen {
    type filter hook prerouting priority -400;
    ip daddr ${MACHINE.ipv4} counter
    ip saddr ${MACHINE.ipv4} counter
  }
}`;

/** What is set at a site, but for the test's own cable. */
async function lookAt(world: RedirectWorld, at: SiteName): Promise<string> {
  return (await world.look(at)).replaceAll(/^host@.*\n/gm, "");
}
