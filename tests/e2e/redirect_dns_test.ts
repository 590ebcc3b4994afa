import assert from "node:assert/strict";
import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import { type BindProcess, startBind } from "../../src/testing/bind_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { Serving, SiteApi } from "../../src/testing/site_process.ts";

const NAME = "web.example.org";
const TTL_SECONDS = 3600;
const MOVING_TTL_SECONDS = 5;
const ADDRESS_AT = { a: "10.1.0.5", b: "10.2.0.5" } as const;
const MACHINE = {
  kind: "reference",
  memoryMiB: 8,
  disks: [{ sizeMiB: 4 }],
  workload: { seed: 3, hotMiB: 1, memoryBytesPerSecond: 100_000, diskBytesPerSecond: 50_000 },
};
/** Each look starts two programs. */
const POLL_MS = 150;
const NAMED_MS_MAX = 20_000;
const ENDED = ["completed", "failed", "cancelled"];

type SiteName = keyof typeof ADDRESS_AT;

/** Two real gateways that may change the names of one zone at a real name server. */
class NamedSites implements AsyncDisposable {
  private constructor(
    readonly apis: Readonly<Record<SiteName, SiteApi>>,
    private readonly bind: BindProcess,
    private readonly made: AsyncDisposableStack,
  ) {}

  static async start(): Promise<NamedSites> {
    await using made = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "cw-n-" });
    made.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    const bind = made.use(await startBind([`web A ${ADDRESS_AT.a}`]));
    const { address, keyFile } = bind;
    const site = async (name: SiteName) => {
      const dir = `${directory}/${name}`;
      const local = "127.0.0.1:0";
      const init = await initSite({ site: name, dir, link: local, http: local });
      const config = JSON.parse(await Deno.readTextFile(init.configPath));
      config.nameServers = { main: { address, keyFile, zone: "example.org" } };
      await Deno.writeTextFile(init.configPath, JSON.stringify(config));
      return init;
    };
    const [a, b] = [await site("a"), await site("b")];
    await trustPeer({ config: b.configPath, peer: "a", certificate: a.certificatePath });
    const open = async ({ configPath, apiTokenPath }: typeof a) => {
      const gateway = made.use(await Serving.start("gateway", "--config", configPath));
      const api = await SiteApi.open(gateway, apiTokenPath);
      // Machines outlive their gateway.
      made.defer(() => api.call("DELETE", "/guests/g?end=true").then(() => {}, () => {}));
      return { api, link: gateway.ready("link") };
    };
    const { api: apiB, link } = await open(b);
    const certificate = b.certificatePath;
    await trustPeer({ config: a.configPath, peer: "b", certificate, address: link });
    const { api: apiA } = await open(a);
    return new NamedSites({ a: apiA, b: apiB }, bind, made.move());
  }

  /** The machine's definition at a site, with its name's address there. */
  async define(site: SiteName, role: "source" | "incoming"): Promise<void> {
    const records = [{ name: NAME, ip: ADDRESS_AT[site] }];
    await this.apis[site].call("PUT", "/guests/g", {
      ...MACHINE,
      role,
      addresses: [{ ip: ADDRESS_AT.a, name: NAME }],
      redirect: {
        device: "lo",
        means: [{
          kind: "dns",
          nameServer: "main",
          movingTtlSeconds: MOVING_TTL_SECONDS,
          records,
        }],
      },
    });
  }

  /** Waits until the zone says that the name is found at this site, for so long. */
  async named(site: SiteName, ttlSeconds: number): Promise<void> {
    const wanted = `${NAME}. ${ttlSeconds} IN A ${ADDRESS_AT[site]}`;
    const endMs = performance.now() + NAMED_MS_MAX;
    for (;;) {
      const found = (await this.bind.records(NAME)).join(", ");
      if (found === wanted) return;
      if (performance.now() > endMs) throw new Error(`The zone has ${found} instead of ${wanted}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async begin(from: SiteName, to: SiteName): Promise<string> {
    const wishes = { guest: "g", to, hold: true, maxDowntimeMs: 2_000 };
    return (await this.apis[from].call<{ id: string }>("POST", "/migrations", wishes)).id;
  }

  async end(site: SiteName, id: string, how: "switchover" | "cancel"): Promise<MigrationReport> {
    const api = this.apis[site];
    await api.until(id, ({ state }) => state === "holding", 30_000);
    await api.call("POST", `/migrations/${id}/${how}`);
    return await api.until(id, ({ state }) => ENDED.includes(state), 30_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.made.disposeAsync();
  }
}

Deno.test("a machine's name follows it through two gateways, and stays where a move is cancelled", {
  ...await requires("bind"),
}, async () => {
  await using sites = await NamedSites.start();
  await sites.define("a", "source");
  await sites.define("b", "incoming");

  const cancelled = await sites.begin("a", "b");
  await sites.named("a", MOVING_TTL_SECONDS);
  assert.equal((await sites.end("a", cancelled, "cancel")).state, "cancelled");
  await sites.named("a", TTL_SECONDS);

  const moved = await sites.begin("a", "b");
  await sites.named("a", MOVING_TTL_SECONDS);
  const report = await sites.end("a", moved, "switchover");
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  // Nothing is carried, so that one site restores while the other one writes its arrival.
  await sites.named("b", TTL_SECONDS);

  await sites.define("a", "incoming");
  const home = await sites.begin("b", "a");
  await sites.named("b", MOVING_TTL_SECONDS);
  const back = await sites.end("b", home, "switchover");
  assert.equal(back.state, "completed", JSON.stringify(back.error));
  await sites.named("a", TTL_SECONDS);
});
