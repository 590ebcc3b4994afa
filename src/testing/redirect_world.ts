import { initSite } from "../config/init.ts";
import { trustPeer } from "../config/trust.ts";
import type { TunLink } from "../emulator/tun_link.ts";
import type { MeansSettings, ProbeSettings } from "../guest/addresses.ts";
import type { GuestDefinition } from "../guest/definition.ts";
import type { RedirectView } from "../redirect/view.ts";
import { startEchoProbe } from "./echo_probe/probe.ts";
import { guestImage } from "./guest_image/build.ts";
import { guestArgv } from "./guest_image/guest_argv.ts";
import { GuestChannel } from "./guest_image/guest_channel.ts";
import { connect, createNamespace, type NetworkNamespace, plug } from "./netns.ts";
import { machinePids } from "./real_sites.ts";
import {
  addThird,
  HTTP_PORT,
  LAN,
  layOut,
  LINK_PORT,
  MAC,
  openDoor,
  ROUTER,
  type SiteName,
  stretch,
  TAP,
  WAN,
  WAN_ADDRESSES,
} from "./redirect_layout.ts";
import { Serving, SiteApi } from "./site_process.ts";

export { type SiteName } from "./redirect_layout.ts";

/** What leads the machine's packets to the other site; on a `stretched` network nothing has to. */
export type Carrying = "kernel" | "tunnel" | "stretched";
/** What the machine's clients know. It belongs to site a. */
export const MACHINE = { ipv4: "10.1.0.5", ipv6: "fd01::5" } as const;
/** Of the services inside the machine. */
export const PORTS = { echo: 7, download: 19, connect: 80 } as const;

const BOOT_TIMEOUT_MS = 90_000;

/** When old flows are given up; see `redirect.drain` of a definition. */
export interface Drain {
  readonly idleMs: number;
  readonly limitMs: number | null;
}

/** One site: a router with the gateway on it, and a network for machines behind. */
export interface RedirectSite {
  readonly name: SiteName;
  readonly namespace: NetworkNamespace;
  readonly directory: string;
  readonly api: SiteApi;
  readonly gateway: Serving;
}

/**
 * A client's site, two sites with networks of their own, and an emulated WAN between these two: the
 * client reaches both through site a. A real machine on TAP has addresses of site a's network, and
 * services of kernel TCP. Everything lives in namespaces of its own.
 */
export class RedirectWorld implements AsyncDisposable {
  readonly #sites = new Map<SiteName, RedirectSite>();
  readonly #channels = new Map<SiteName, GuestChannel>();

  private constructor(
    readonly directory: string,
    readonly client: NetworkNamespace,
    readonly wan: TunLink,
    private readonly carrying: readonly MeansSettings[],
    private readonly made: AsyncDisposableStack,
    private readonly configs: ReadonlyMap<SiteName, SiteSetup>,
  ) {}

  /**
   * @param carrying the means that carries packets; announcements go with it
   * @param third with a site c beyond b, which the client reaches by a cable of its own as well
   * @param limits of the sites' configurations
   */
  static async start(
    profile: string,
    carrying: Carrying,
    { third = false, limits = {} }: {
      readonly third?: boolean;
      readonly limits?: Readonly<Record<string, number>>;
    } = {},
  ): Promise<RedirectWorld> {
    await using made = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "cw-r-" });
    made.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    const names: readonly SiteName[] = third ? ["a", "b", "c"] : ["a", "b"];
    for (const site of names) {
      made.defer(async () => {
        for (const pid of await machinePids(`${directory}/${site}`)) Deno.kill(pid, "SIGKILL");
      });
    }
    const { client, sites, wan } = await layOut(made, profile);
    if (carrying === "stretched") await stretch(sites);
    if (third) sites.c = await addThird(made, client, sites.b);
    const setup = async (name: SiteName): Promise<SiteSetup> => {
      const dir = `${directory}/${name}`;
      const link = `${WAN_ADDRESSES[name].ipv4}:${LINK_PORT}`;
      const made = await initSite({ site: name, dir, link, http: `127.0.0.1:${HTTP_PORT}` });
      const config = JSON.parse(await Deno.readTextFile(made.configPath));
      config.limits = limits;
      await Deno.writeTextFile(made.configPath, JSON.stringify(config));
      return { ...made, dir, link, namespace: sites[name]! };
    };
    const configs = new Map<SiteName, SiteSetup>();
    for (const name of names) configs.set(name, await setup(name));
    const trust = async (dialling: SiteName, dialled: SiteName) => {
      const [from, to] = [configs.get(dialling)!, configs.get(dialled)!];
      const certificate = to.certificatePath;
      await trustPeer({ config: from.configPath, peer: dialled, certificate, address: to.link });
      const back = from.certificatePath;
      await trustPeer({ config: to.configPath, peer: dialling, certificate: back });
    };
    await trust("a", "b");
    if (third) await trust("c", "b");
    const world = new RedirectWorld(
      directory,
      client,
      wan,
      carrying === "tunnel"
        ? [{ kind: "tunnel", mtuBytes: 1500, keptBytesMax: 4 * 1024 * 1024 }]
        : carrying === "kernel"
        ? [{ kind: "kernel", device: WAN, via: {} }]
        : [],
      made.move(),
      configs,
    );
    try {
      await Promise.all(names.map((name) => world.startGateway(name)));
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  site(name: SiteName): RedirectSite {
    return this.#sites.get(name)!;
  }

  /** Starts a site's gateway; again after it was killed. */
  async startGateway(name: SiteName): Promise<void> {
    const { dir, configPath, apiTokenPath, namespace } = this.configs.get(name)!;
    const gateway = this.made.use(
      await Serving.startIn(namespace.name, "gateway", "--config", configPath),
    );
    const path = `${dir}/api`;
    if (!this.#sites.has(name)) this.made.use(await openDoor(namespace, path));
    const client = this.made.use(Deno.createHttpClient({ proxy: { transport: "unix", path } }));
    const api = await SiteApi.open(gateway, apiTokenPath, client);
    this.#sites.set(name, { name, namespace, directory: dir, api, gateway });
  }

  /** Kills a site's gateway as a crash would. */
  async killGateway(name: SiteName): Promise<void> {
    await this.site(name).gateway[Symbol.asyncDispose]();
  }

  /** Boots the machine at a, has it wait at b, and starts its services. */
  async boot(drain: Drain): Promise<void> {
    for (const name of ["a", "b"] as const) {
      const definition = await this.#definition(name, drain);
      await this.site(name).api.call("PUT", "/guests/g", definition);
    }
    const console = `${this.site("a").directory}/vm.console`;
    const deadlineMs = performance.now() + BOOT_TIMEOUT_MS;
    while (!(await Deno.readTextFile(console).catch(() => "")).includes("cw: ready ")) {
      if (performance.now() > deadlineMs) throw new Error("The machine did not boot");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const channel = this.#channels.get("a")!;
    const run = (command: string) => channel.ask(`run ${command}`);
    await run(`ip -6 route add default via ${ROUTER.ipv6}`);
    // The echo is there from the start. Both take IPv4 and IPv6, with a process for each connection.
    // The download has a pace: a machine without KVM that sends as fast as it can does little else.
    const piece = "dd if=/dev/zero bs=64k count=1 2>/dev/null && usleep 100000";
    await run(`sh -c 'echo "while ${piece}; do :; done" >/run/stream'`);
    const server = `nc -ll -p ${PORTS.download} -e sh /run/stream`;
    await run(`sh -c '${server} </dev/null >/dev/null 2>&1 &'`);
    // New connections go to a server that lets more than two wait.
    await run(`httpd -p ${PORTS.connect} -h /run`);
  }

  /**
   * Instead of `boot`: a machine that has no network of its own (the embedded one) with a host beside
   * it that answers for its addresses. For what the carrying itself does; `place` moves the host.
   */
  async stand(drain: Drain): Promise<NetworkNamespace> {
    for (const name of this.configs.keys()) {
      await this.site(name).api.call("PUT", "/guests/g", {
        kind: "reference",
        role: name === "a" ? "source" : "incoming",
        memoryMiB: 8,
        disks: [],
        workload: { memoryBytesPerSecond: 100_000, diskBytesPerSecond: 0 },
        ...this.#follows(name, drain, []),
      });
      this.made.defer(async () => {
        await this.site(name).api.call("DELETE", "/guests/g?end=true").catch(() => {});
      });
    }
    return this.made.use(await createNamespace("host"));
  }

  /** Plugs the host into a site's network, as its machine would be. */
  async place(host: NetworkNamespace, at: SiteName): Promise<void> {
    const { namespace } = this.site(at);
    await host.ip("link", "del", "eth0").catch(() => {});
    await connect({ namespace: host, name: "eth0" }, { namespace, name: "host" });
    await plug(namespace, "host", LAN);
    await host.ip("link", "set", "eth0", "address", MAC);
    await host.ip("addr", "add", `${MACHINE.ipv4}/24`, "dev", "eth0");
    await host.ip("addr", "add", `${MACHINE.ipv6}/64`, "dev", "eth0", "nodad");
    await host.ip("route", "add", "default", "via", ROUTER.ipv4);
    await host.ip("-6", "route", "add", "default", "via", ROUTER.ipv6);
  }

  /** Asks the machine, where it is. */
  async ask(at: SiteName, line: string): Promise<string> {
    return await this.#channels.get(at)!.ask(line);
  }

  /** Starts a move of the machine; resolves with its id. */
  async move(
    from: SiteName,
    wishes: Record<string, unknown> = {},
    to: SiteName = from === "a" ? "b" : "a",
  ): Promise<string> {
    const body = { guest: "g", to, maxDowntimeMs: 800, ...wishes };
    return (await this.site(from).api.call<{ id: string }>("POST", "/migrations", body)).id;
  }

  /** The redirect of a move at a site; null before there is one. */
  async redirect(at: SiteName, migration: string): Promise<RedirectView | null> {
    const views = await this.site(at).api.call<RedirectView[]>("GET", "/redirects");
    return views.find((each) => each.migration === migration) ?? null;
  }

  async untilRedirect(
    at: SiteName,
    migration: string,
    state: string,
    timeoutMs = 20_000,
  ): Promise<RedirectView> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const view = await this.redirect(at, migration).catch(() => null);
      if (view?.state === state && view.settled) return view;
      if (performance.now() > deadlineMs) {
        throw new Error(
          `The redirect is not ${state} at ${at} in ${timeoutMs} ms: ${JSON.stringify(view)}\n` +
            this.site(at).gateway.stderr,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Everything of a site that a redirect may set: rules, addresses, routes, devices, processes. */
  async look(at: SiteName): Promise<string> {
    const { namespace } = this.site(at);
    const looks = [
      ["ip", "-4", "rule"],
      ["ip", "-6", "rule"],
      ["ip", "-brief", "addr"],
      ["ip", "-4", "route", "show", "table", "all"],
      ["ip", "-6", "route", "show", "table", "all", "proto", "188"],
      ["ip", "neigh", "show", "proxy"],
      ["nft", "-s", "list", "ruleset"],
    ];
    const texts = await Promise.all(looks.map((look) => namespace.run(...look)));
    const pids = (await namespace.run("ip", "netns", "pids", namespace.name)).trim().split("\n");
    const processes = await Promise.all(
      pids.map(async (pid) => {
        const words = await namespace.run(
          "sh",
          "-c",
          `tr '\\0' ' ' < /proc/${pid}/cmdline || true`,
        );
        return words.includes("net_process.ts") ? "network process" : null;
      }),
    );
    // Whether the machine's own device has a carrier is the machine's doing.
    const found = texts.join("\n").replaceAll(" linkdown", "").replaceAll(/ +/g, " ")
      .replaceAll(/^(\S+) (UP|DOWN) /gm, "$1 ");
    return [found, ...processes.filter((each) => each !== null)].join("\n");
  }

  /** ICMP echoes of the client reach the machine's address within some seconds. */
  async answers(): Promise<void> {
    const deadlineMs = performance.now() + 15_000;
    for (;;) {
      await using probe = startEchoProbe(this.client, MACHINE.ipv4, 20);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const { answeredAtMs } = await probe.finish();
      if (answeredAtMs.filter((atMs) => atMs !== null).length >= 5) return;
      if (performance.now() > deadlineMs) throw new Error("Nothing answers");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    await this.made.disposeAsync();
  }

  async #definition(
    name: SiteName,
    drain: Drain,
  ): Promise<GuestDefinition> {
    const base = `${this.configs.get(name)!.dir}/vm`;
    const namespace = this.configs.get(name)!.namespace.name;
    const argv = guestArgv({
      image: await guestImage(),
      memoryMiB: 160,
      workload: { memoryMiB: 8, memoryKiBPerSecond: 256, diskKiBPerSecond: 0 },
      network: {
        tap: TAP,
        mac: MAC,
        namespace,
        ip: `${MACHINE.ipv4}/24`,
        ip6: `${MACHINE.ipv6}/64`,
        gateway: ROUTER.ipv4,
      },
      consolePath: `${base}.console`,
      channelPath: `${base}.channel`,
    });
    this.#channels.set(name, new GuestChannel(`${base}.channel`));
    return {
      kind: "qemu",
      role: name === "a" ? "source" : "incoming",
      launch: { argv, disks: [] },
      ...this.#follows(name, drain, [{ kind: "tcp", port: PORTS.connect }]),
    };
  }

  #follows(
    name: SiteName,
    drain: Drain,
    probes: ProbeSettings[],
  ) {
    const other = WAN_ADDRESSES[name === "a" ? "b" : "a"];
    return {
      addresses: [
        { ip: MACHINE.ipv4, mac: MAC, subnet: "10.1.0.0/24", gateway: ROUTER.ipv4 },
        { ip: MACHINE.ipv6, mac: MAC, subnet: "fd01::/64", gateway: ROUTER.ipv6 },
      ],
      redirect: {
        device: LAN,
        means: [
          ...this.carrying.map((each) => each.kind === "kernel" ? { ...each, via: other } : each),
          { kind: "announce" as const, rounds: 3, intervalMs: 100 },
        ],
        drain,
        probes,
        reachMs: 20_000,
      },
    };
  }
}

interface SiteSetup {
  readonly dir: string;
  readonly link: string;
  readonly namespace: NetworkNamespace;
  readonly configPath: string;
  readonly certificatePath: string;
  readonly apiTokenPath: string;
}
