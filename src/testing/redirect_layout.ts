/** The networks of `redirect_world.ts`: namespaces, cables and an emulated WAN. */
import { loadProfile } from "../emulator/load_profile.ts";
import { startTunLink, type TunLink } from "../emulator/tun_link.ts";
import {
  addBridge,
  addTap,
  connect,
  createNamespace,
  type NetworkNamespace,
  plug,
} from "./netns.ts";

/** The third one stands only where a world is asked for it. */
export type SiteName = "a" | "b" | "c";
export const LAN = "br0";
export const TAP = "tap0";
/** Between the bridges of a stretched network. */
export const TRUNK = "trunk";
export const WAN = "wan0";
export const MAC = "52:54:00:01:00:05";
export const ROUTER = { ipv4: "10.1.0.1", ipv6: "fd01::1" } as const;
export const WAN_ADDRESSES = {
  a: { ipv4: "192.0.2.1", ipv6: "fd02::1" },
  b: { ipv4: "192.0.2.2", ipv6: "fd02::2" },
  c: { ipv4: "198.51.100.2", ipv6: "fd04::2" },
} as const;
const LAN_ADDRESSES = {
  a: [`${ROUTER.ipv4}/24`, `${ROUTER.ipv6}/64`],
  b: ["10.2.0.1/24", "fd03::1/64"],
  c: ["10.3.0.1/24", "fd05::1/64"],
} as const;
export const LINK_PORT = 7420;
export const HTTP_PORT = 7421;
/** Of the client's cable to the third site. */
const CLIENT_AT_C = "10.0.1.2";

export type SiteNamespaces = { a: NetworkNamespace; b: NetworkNamespace; c?: NetworkNamespace };

export interface World {
  readonly client: NetworkNamespace;
  readonly wan: TunLink;
}

export async function layOut(
  made: AsyncDisposableStack,
  profile: string,
): Promise<World & { sites: SiteNamespaces }> {
  const client = made.use(await createNamespace("client"));
  const sites: SiteNamespaces = { a: await addSite(made, "a"), b: await addSite(made, "b") };
  await connect(
    { namespace: client, name: "eth0", addresses: ["10.0.0.2/24", "fd00::2/64"] },
    { namespace: sites.a, name: "client", addresses: ["10.0.0.1/24", "fd00::1/64"] },
  );
  await client.ip("route", "add", "default", "via", "10.0.0.1");
  await client.ip("-6", "route", "add", "default", "via", "fd00::1");
  const end = (name: "a" | "b") => ({
    netns: sites[name].name,
    device: WAN,
    address: [`${WAN_ADDRESSES[name].ipv4}/24`, `${WAN_ADDRESSES[name].ipv6}/64`],
  });
  const wan = made.use(
    await startTunLink({
      profile: await loadProfile(profile),
      seed: 1,
      left: end("a"),
      right: end("b"),
    }),
  );
  return { client, sites, wan };
}

async function addSite(made: AsyncDisposableStack, name: SiteName): Promise<NetworkNamespace> {
  const namespace = made.use(await createNamespace(`site-${name}`));
  await addBridge({ namespace, name: LAN, addresses: LAN_ADDRESSES[name] });
  await addTap({ namespace, name: TAP }, LAN);
  await namespace.run(
    ...["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"],
    ...[`net.ipv6.conf.${LAN}.proxy_ndp=1`, `net.ipv4.neigh.${LAN}.proxy_delay=0`],
  );
  return namespace;
}

/** One Ethernet segment at both sites, as a line between their switches makes it. */
export async function stretch({ a, b }: SiteNamespaces): Promise<void> {
  await connect({ namespace: a, name: TRUNK }, { namespace: b, name: TRUNK });
  for (const namespace of [a, b]) await plug(namespace, TRUNK, LAN);
}

/** Behind b, by a cable instead of an emulated line. */
export async function addThird(
  made: AsyncDisposableStack,
  client: NetworkNamespace,
  b: NetworkNamespace,
): Promise<NetworkNamespace> {
  const c = await addSite(made, "c");
  await connect(
    { namespace: b, name: "wan1", addresses: ["198.51.100.1/24", "fd04::1/64"] },
    {
      namespace: c,
      name: WAN,
      addresses: [`${WAN_ADDRESSES.c.ipv4}/24`, `${WAN_ADDRESSES.c.ipv6}/64`],
    },
  );
  await c.ip("route", "add", "192.0.2.0/24", "via", "198.51.100.1");
  await connect(
    { namespace: client, name: "eth1", addresses: [`${CLIENT_AT_C}/24`] },
    { namespace: c, name: "client", addresses: ["10.0.1.1/24"] },
  );
  return c;
}

/** Lets this process reach the API inside a namespace. */
export async function openDoor(
  namespace: NetworkNamespace,
  path: string,
): Promise<AsyncDisposable> {
  const script = new URL("../../bench/bytes/door.ts", import.meta.url).pathname;
  const [program, ...args] = namespace.argv(
    ...[Deno.execPath(), "run", "--no-config", "--no-check", "--quiet", "--allow-all", script],
    ...[path, "127.0.0.1", String(HTTP_PORT)],
  );
  const door = new Deno.Command(program, { args, stdout: "piped" }).spawn();
  const reader = door.stdout.getReader();
  await reader.read();
  return {
    async [Symbol.asyncDispose]() {
      door.kill("SIGKILL");
      await reader.cancel().catch(() => {});
      await door.status;
    },
  };
}
