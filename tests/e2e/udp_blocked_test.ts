import assert from "node:assert/strict";
import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import type { PeerView } from "../../src/gateway/service.ts";
import { connect, createNamespace, type NetworkNamespace } from "../../src/testing/netns.ts";
import { requires } from "../../src/testing/requirements.ts";
import { Serving, SiteApi } from "../../src/testing/site_process.ts";
import { eventually } from "./support/killable_sites.ts";

const LINK_PORT = 7420;
const HTTP_PORT = 7421;
const NETWORKS = { a: "10.81.1", b: "10.81.2" } as const;
const TABLE = "causeway_test";
/** Long enough for the carrier to change twice before the copy is through. */
const RATE_BYTES_PER_SECOND = 1_500_000;
const MACHINE = {
  kind: "reference",
  memoryMiB: 32,
  disks: [{ sizeMiB: 16 }],
  workload: {
    seed: 11,
    hotMiB: 1,
    memoryBytesPerSecond: 300_000,
    diskBytesPerSecond: 100_000,
  },
};

/** Two sites and a router between them, each in a namespace, with real gateways. */
class RoutedSites implements AsyncDisposable {
  private constructor(
    readonly router: NetworkNamespace,
    readonly a: SiteApi,
    readonly b: SiteApi,
    readonly logs: () => string,
    private readonly owned: AsyncDisposableStack,
  ) {}

  static async start(): Promise<RoutedSites> {
    await using made = new AsyncDisposableStack();
    // Short: paths of unix sockets below it hold 107 bytes.
    const directory = await Deno.makeTempDir({ prefix: "cw-u-" });
    made.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    const router = made.use(await createNamespace("router"));
    await router.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    const site = async (name: "a" | "b") => {
      const network = NETWORKS[name];
      const namespace = made.use(await createNamespace(`site-${name}`));
      await connect(
        { namespace, name: "eth0", addresses: [`${network}.2/24`] },
        { namespace: router, name: `to-${name}`, addresses: [`${network}.1/24`] },
      );
      await namespace.ip("route", "add", "default", "via", `${network}.1`);
      const link = `${network}.2:${LINK_PORT}`;
      const dir = `${directory}/${name}`;
      const init = await initSite({ site: name, dir, link, http: `127.0.0.1:${HTTP_PORT}` });
      const config = JSON.parse(await Deno.readTextFile(init.configPath));
      // So short a path would go over TCP whether UDP passes or not.
      config.limits = { udpRetryMs: 1_000, shortRoundTripMs: 0 };
      await Deno.writeTextFile(init.configPath, JSON.stringify(config));
      return { ...init, namespace, link, dir };
    };
    const [a, b] = [await site("a"), await site("b")];
    await trustPeer({
      config: a.configPath,
      peer: "b",
      certificate: b.certificatePath,
      address: b.link,
    });
    await trustPeer({ config: b.configPath, peer: "a", certificate: a.certificatePath });
    const gateways: Serving[] = [];
    const open = async ({ namespace, configPath, apiTokenPath, dir }: typeof a) => {
      const gateway = await Serving.startIn(namespace.name, "gateway", "--config", configPath);
      gateways.push(made.use(gateway));
      const path = `${dir}/api`;
      made.use(openDoor(namespace, path));
      await eventually(
        "the way to the API is open",
        () => Deno.stat(path).then(() => true, () => false),
      );
      const client = made.use(Deno.createHttpClient({ proxy: { transport: "unix", path } }));
      const api = await SiteApi.open(gateway, apiTokenPath, client);
      // Machines outlive their gateway.
      made.defer(() => api.call("DELETE", "/guests/g?end=true").then(() => {}, () => {}));
      return api;
    };
    const apis = [await open(b), await open(a)];
    const logs = () => gateways.map(({ stderr }) => stderr).join("\n");
    return new RoutedSites(router, apis[1], apis[0], logs, made.move());
  }

  /** The router drops every UDP packet that it should pass on. */
  async blockUdp(): Promise<void> {
    const nft = (...words: string[]) => this.router.run("nft", ...words);
    await nft("add", "table", "inet", TABLE);
    const hook = "{ type filter hook forward priority 0; policy accept; }";
    await nft("add", "chain", "inet", TABLE, "forward", hook);
    await nft("add", "rule", "inet", TABLE, "forward", "meta", "l4proto", "udp", "drop");
  }

  async letUdpPass(): Promise<void> {
    await this.router.run("nft", "delete", "table", "inet", TABLE);
  }

  /** Waits until both sites say that their link goes over this carrier. */
  async untilOver(kind: "quic" | "tls"): Promise<PeerView> {
    const carriers = async () =>
      await Promise.all(
        [this.a, this.b].map(async (api) => (await api.call<PeerView[]>("GET", "/peers"))[0]),
      );
    await eventually(
      `both go over ${kind}`,
      async () => (await carriers()).every(({ carrier }) => carrier?.kind === kind),
    );
    return (await carriers())[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

/** Lets this process reach the API inside a namespace. */
function openDoor(namespace: NetworkNamespace, path: string): AsyncDisposable {
  const script = new URL("../../bench/bytes/door.ts", import.meta.url).pathname;
  const [program, ...args] = namespace.argv(
    ...[Deno.execPath(), "run", "--no-config", "--no-check", "--quiet", "--allow-all", script],
    ...[path, "127.0.0.1", String(HTTP_PORT)],
  );
  const door = new Deno.Command(program, { args, stdout: "null" }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      door.kill("SIGKILL");
      await door.status;
    },
  };
}

Deno.test(
  "a move goes on over TCP while the network drops UDP, and over UDP again when it passes",
  await requires("namespaces", "nftables"),
  async () => {
    await using sites = await RoutedSites.start();
    const { a, b } = sites;
    await a.call("PUT", "/guests/g", { ...MACHINE, role: "source" });
    await b.call("PUT", "/guests/g", { ...MACHINE, role: "incoming" });
    await sites.untilOver("quic");
    const { id } = await a.call<{ id: string }>("POST", "/migrations", {
      guest: "g",
      to: "b",
      hold: true,
      maxDowntimeMs: 2_000,
      rate: RATE_BYTES_PER_SECOND,
    });
    const copied = async (bytes: number) =>
      await a.until(id, ({ wireBytes }) => (wireBytes.total ?? 0) >= bytes, 60_000);
    await copied(1_000_000);

    await sites.blockUdp();
    const blocked = await sites.untilOver("tls");
    assert.match(blocked.carrier!.reason, /UDP gave no answer where TCP did/);
    const before = await a.migration(id);
    assert.equal(before.state, "copying", JSON.stringify(before.error));
    await copied(before.wireBytes.total! + 3_000_000);

    await sites.letUdpPass();
    const back = await sites.untilOver("quic");
    assert.equal(back.carrier!.reason, "UDP passes again");
    await a.call("PATCH", `/migrations/${id}`, { rate: null });
    await a.until(id, ({ state }) => state === "holding", 60_000);

    // And once more, in the last moments.
    await sites.blockUdp();
    await a.call("POST", `/migrations/${id}/switchover`);
    const done = await a.until(
      id,
      ({ state }) => ["completed", "failed", "cancelled"].includes(state),
      60_000,
    );
    assert.equal(done.state, "completed", `${JSON.stringify(done.error)}\n${sites.logs()}`);
    assert.deepEqual(done.machine, { site: "b", runState: "running" });
    const verified = await b.call<{ ok: boolean }>("POST", "/guests/g/verify");
    assert.equal(verified.ok, true, JSON.stringify(verified));
    for (const reason of ["UDP gave no answer where TCP did", "UDP passes again"]) {
      assert.ok(sites.logs().includes(reason), `the log has "${reason}"`);
    }
  },
);
