import assert from "node:assert/strict";
import { ENDED_STATES } from "../../src/migration/report.ts";
import { MACHINE, PORTS, RedirectWorld } from "../../src/testing/redirect_world.ts";
import { requires } from "../../src/testing/requirements.ts";
import { startTcpClient } from "../../src/testing/tcp_client/client.ts";
import type { ClientRecord } from "../../src/testing/tcp_client/record.ts";

const MOVE_MS_MAX = 90_000;
const RECONCILED_MS = 5_000;
/**
 * Beyond the pause: what a busy computer takes to run a machine without KVM, and TCP's own timer.
 */
const GAP_SLACK_MS = 6_000;

/** Moves the machine from a to b under load of clients of both families. */
async function moveUnderLoad(
  world: RedirectWorld,
  afterwards: (id: string) => Promise<void> = () => Promise.resolve(),
): Promise<{ id: string; downtimeMs: number; records: ClientRecord[] }> {
  await using clients = new AsyncDisposableStack();
  const running = Object.values(MACHINE).map((ip) =>
    clients.use(startTcpClient(world.client, ip, PORTS, { echoMs: 20, connectMs: 250 }))
  );
  const id = await world.move("a");
  const report = await world.site("a").api.until(
    id,
    ({ state }) => ENDED_STATES.includes(state),
    MOVE_MS_MAX,
  );
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  await world.untilRedirect("a", id, "draining");
  await afterwards(id);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const records = await Promise.all(running.map((client) => client.finish()));
  return { id, downtimeMs: report.downtimeMs!, records };
}

function assertWentOn({ echo, download, connects }: ClientRecord, gapMsMax: number): void {
  assert.equal(echo.error, null);
  assert.equal(download.error, null);
  assert.equal(echo.answered, echo.sent, "an echo is missing");
  assert.ok(echo.answered > 50 && download.bytes > 100_000, JSON.stringify({ echo, download }));
  assert.ok(echo.gaps[0].ms <= gapMsMax, `the echo stood still for ${echo.gaps[0].ms} ms`);
  // A guest without KVM on a busy computer takes its time, which is nobody's lack of packets.
  const failed = connects.filter(({ tookMs }) => tookMs === null);
  assert.ok(failed.length <= connects.length / 10, `${failed.length} connections failed`);
  assert.notEqual(connects.at(-1)!.tookMs, null, "the last connection failed");
}

for (const carrying of ["tunnel", "kernel"] as const) {
  Deno.test({
    name: `connections and new ones survive the move of a real machine over ${carrying}, ` +
      "IPv4 and IPv6",
    ...await requires("namespaces", "tun", "nftables", "qemu", "guestImage"),
    async fn() {
      await using world = await RedirectWorld.start("metro", carrying);
      await world.boot({ idleMs: 1_500, limitMs: null });
      let outageMs = 0;
      const before = { a: await world.look("a"), b: await world.look("b") };
      const { id, downtimeMs, records } = await moveUnderLoad(world, async (id) => {
        // A tunnel dies with its gateway, and is there again with it; TCP waits meanwhile. Routes of
        // the kernel go on.
        const killed = carrying === "tunnel" ? "a" : "b";
        await world.killGateway(killed);
        const killedAtMs = performance.now();
        await world.startGateway(killed);
        const restartedMs = performance.now();
        await world.untilRedirect(killed, id, "draining", RECONCILED_MS);
        const packets = async () =>
          (await world.redirect("a", id))!.addresses[0].traffic!.toMachinePackets;
        const before = await packets();
        while (await packets() <= before) {
          assert.ok(performance.now() - restartedMs < RECONCILED_MS, "no packet after a restart");
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        if (carrying === "tunnel") outageMs = performance.now() - killedAtMs;
      });
      // TCP's timer may have doubled just before the tunnel was back.
      const slackMs = GAP_SLACK_MS + 2 * outageMs;
      for (const record of records) assertWentOn(record, downtimeMs + slackMs);
      const { addresses } = (await world.redirect("a", id))!;
      for (const { ip, traffic, site } of addresses) {
        assert.equal(site, "b");
        assert.ok(traffic!.toMachinePackets > 0 && traffic!.fromMachinePackets > 0, ip);
      }
      for (const site of ["a", "b"] as const) {
        await world.untilRedirect(site, id, "retired", 40_000);
        assert.equal(await world.look(site), before[site], `something is left at ${site}`);
        const { reach } = (await world.redirect(site, id))!;
        assert.equal(reach?.reached, true, `not reached from ${site}`);
        // A restart hides when the watch began; else it is about as long as the pause at least.
        if (reach.blackoutMs !== null) assert.ok(reach.blackoutMs > downtimeMs / 3, site);
      }
    },
  });
}
