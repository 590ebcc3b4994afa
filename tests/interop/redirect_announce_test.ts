import assert from "node:assert/strict";
import { redirectSettings } from "../../src/guest/addresses.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { AnnounceMeans } from "../../src/redirect/announce_means.ts";
import { HostCommands } from "../../src/redirect/host_commands.ts";
import { startNetHelper } from "../../src/redirect/net_helper.ts";
import type { Stage } from "../../src/redirect/state.ts";
import { connect, createNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

const MACHINE = "52:54:00:00:00:05";
const ELSEWHERE = "52:54:00:00:00:99";
const IPS = ["10.1.0.5", "fd01::5"];

Deno.test({
  name: "a kernel's neighbour table takes what is announced, IPv4 and IPv6, at once and back",
  ...await requires("namespaces"),
  async fn() {
    await using site = await createNamespace("site");
    await using neighbour = await createNamespace("neighbour");
    await connect(
      { namespace: site, name: "br0", addresses: ["10.1.0.1/24", "fd01::1/64"] },
      { namespace: neighbour, name: "eth0", addresses: ["10.1.0.9/24", "fd01::9/64"] },
    );
    // An interface that is still looking for others with its address may hear nothing yet.
    for (const [namespace, device] of [[site, "br0"], [neighbour, "eth0"]] as const) {
      while ((await namespace.ip("-6", "addr", "show", "dev", device, "tentative")).trim() !== "") {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    for (const ip of IPS) {
      const entry = ["lladdr", ELSEWHERE, "dev", "eth0", "nud", "reachable"];
      await neighbour.ip("neigh", "replace", ip, ...entry);
    }
    const host = new HostCommands(site.argv());
    const { mac: hostMac } = (await host.deviceOf("br0"))!;
    const means = new AnnounceMeans(
      { kind: "announce", rounds: 5, intervalMs: 50 },
      systemClock(),
      { host, startSender: () => startNetHelper(null, undefined, site.argv()) },
    );
    const at = (stage: Stage, previous: Stage) => ({
      migration: "m",
      guest: "web",
      side: "old" as const,
      peer: "b",
      site: "a",
      stage,
      previous,
      isHome: false,
      addresses: IPS.map((ip) => ({ ip, mac: MACHINE })),
      settings: redirectSettings.parse({ device: "br0", means: [{ kind: "tunnel" }] }),
    });
    const becomes = async (mac: string) => {
      const deadlineMs = performance.now() + 5_000;
      for (;;) {
        const table = await neighbour.ip("neigh", "show", "dev", "eth0");
        const known = IPS.map((ip) => table.split("\n").find((line) => line.startsWith(`${ip} `)));
        if (known.every((line) => line?.includes(mac))) return;
        assert.ok(performance.now() < deadlineMs, `no ${mac} in ${table}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    try {
      await means.apply(at("prepared", "bound"));
      await means.apply(at("redirecting", "prepared"));
      await becomes(hostMac);
      await means.apply(at("bound", "redirecting"));
      await becomes(MACHINE);
    } finally {
      await means.letGo();
    }
  },
});
