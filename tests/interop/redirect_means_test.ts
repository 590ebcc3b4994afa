import { redirectSettings } from "../../src/guest/addresses.ts";
import { HostCommands } from "../../src/redirect/host_commands.ts";
import { KernelMeans, type KernelSettings } from "../../src/redirect/kernel_means.ts";
import type { Means } from "../../src/redirect/means.ts";
import { startNetHelper } from "../../src/redirect/net_helper.ts";
import { TunnelHub } from "../../src/redirect/tunnel_hub.ts";
import { TunnelMeans, type TunnelSettings } from "../../src/redirect/tunnel_means.ts";
import { MemoryMeans, RuleWorld } from "../../src/testing/memory_means.ts";
import { meansSuite } from "../../src/testing/means_suite.ts";
import { addBridge, connect, createNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";

const ADDRESSES = [
  { ip: "10.1.0.5", gateway: "10.1.0.1", mac: "52:54:00:00:00:05" },
  { ip: "fd01::5", gateway: "fd01::1" },
];
const KERNEL = {
  kind: "kernel",
  device: "wan0",
  via: { ipv4: "192.0.2.2", ipv6: "fd02::2" },
} satisfies KernelSettings;
const target = {
  migration: "7a1f",
  guest: "web",
  site: "a",
  peer: "b",
  isHome: false,
  addresses: ADDRESSES,
  settings: redirectSettings.parse({ device: "br0", means: [KERNEL] }),
};

meansSuite("in memory", () => {
  const world = new RuleWorld();
  return Promise.resolve({
    make: () => new MemoryMeans(world),
    target,
    look: () => Promise.resolve(JSON.stringify([...world.rules])),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

/** A site with a network for machines and a way to another site. */
async function siteWorld(make: (host: HostCommands, prefix: readonly string[]) => Means) {
  await using made = new AsyncDisposableStack();
  const site = made.use(await createNamespace("site"));
  const other = made.use(await createNamespace("other"));
  await addBridge({ namespace: site, name: "br0", addresses: ["10.1.0.1/24", "fd01::1/64"] });
  await connect(
    { namespace: site, name: "wan0", addresses: ["192.0.2.1/24", "fd02::1/64"] },
    { namespace: other, name: "wan0", addresses: ["192.0.2.2/24", "fd02::2/64"] },
  );
  await site.run(
    ...["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"],
    "net.ipv6.conf.br0.proxy_ndp=1",
  );
  const owned = made.move();
  const looks = [
    ["ip", "-4", "rule"],
    ["ip", "-6", "rule"],
    ["ip", "-4", "route", "show", "table", "all"],
    ["ip", "-6", "route", "show", "table", "all", "proto", "188"],
    ["ip", "neigh", "show", "proxy"],
    ["nft", "-s", "list", "ruleset"],
    ["ip", "-brief", "link"],
  ];
  return {
    make: () => make(new HostCommands(site.argv()), site.argv()),
    target,
    look: async () => (await Promise.all(looks.map((look) => site.run(...look)))).join("\n"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

meansSuite(
  "kernel",
  () => siteWorld((host) => new KernelMeans(KERNEL, host)),
  await requires("namespaces", "nftables"),
);

const TUNNEL = { kind: "tunnel", mtuBytes: 1500, keptBytesMax: 65_536 } satisfies TunnelSettings;

meansSuite("tunnel", () =>
  siteWorld((host, prefix) =>
    new TunnelMeans(TUNNEL, new TunnelHub(), {
      host,
      startNet: (tun, onPacket) => startNetHelper(tun, onPacket, prefix),
    })
  ), await requires("namespaces", "nftables", "tun"));
