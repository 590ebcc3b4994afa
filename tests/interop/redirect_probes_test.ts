import assert from "node:assert/strict";
import { systemClock } from "../../src/host/system_clock.ts";
import { EchoProbe } from "../../src/redirect/echo_probe.ts";
import { HostCommands } from "../../src/redirect/host_commands.ts";
import { NeighbourProbe } from "../../src/redirect/neighbour_probe.ts";
import { startNetHelper } from "../../src/redirect/net_helper.ts";
import { connect, createNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

const MACHINE_IPS = ["10.1.0.5", "fd01::5"];
const NOBODY = ["10.1.0.6", "fd01::6"];

Deno.test({
  name:
    "a kernel on the network answers ARP, solicitations and echoes, IPv4 and IPv6, and nobody else does",
  ...await requires("namespaces", "ping"),
  async fn() {
    await using site = await createNamespace("site");
    await using machine = await createNamespace("machine");
    await connect(
      { namespace: site, name: "br0", addresses: ["10.1.0.1/24", "fd01::1/64"] },
      { namespace: machine, name: "eth0", addresses: MACHINE_IPS.map((ip) => `${ip}/24`) },
    );
    const host = new HostCommands(site.argv());
    const neighbours = new NeighbourProbe(systemClock(), {
      host,
      startNet: (onFrame) => startNetHelper(null, undefined, site.argv(), onFrame),
    });
    const echo = new EchoProbe(host);
    // Answers come at once where there is one: what is asked again in between was asked too early.
    const until = async (ask: (timeoutMs: number) => Promise<boolean>) => {
      for (let count = 0; count < 50; count++) if (await ask(200)) return true;
      return false;
    };
    try {
      for (const ip of MACHINE_IPS) {
        assert.equal(await until((ms) => neighbours.ask(ip, "br0", ms)), true, `neighbour ${ip}`);
        assert.equal(await until((ms) => echo.ask(ip, ms)), true, `echo ${ip}`);
      }
      const silent = NOBODY.flatMap((
        ip,
      ) => [neighbours.ask(ip, "br0", 300), echo.ask(ip, 300)]);
      assert.deepEqual(await Promise.all(silent), [false, false, false, false]);
      // What this host itself answers for is not the machine.
      await site.ip("addr", "add", "10.1.0.7/24", "dev", "br0");
      assert.equal(await neighbours.ask("10.1.0.7", "br0", 300), false);
    } finally {
      await neighbours.close();
    }
  },
});
