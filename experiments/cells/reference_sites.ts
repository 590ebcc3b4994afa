import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { type Relay, startRelay } from "../../src/emulator/udp_relay.ts";
import { endMachines } from "../../src/cli/demo/children.ts";
import type { SiteApi } from "../../src/testing/site_process.ts";
import { SupervisedGateway } from "../../src/testing/supervised_gateway.ts";

/** The source of the move, and its destination. */
export type SiteName = "a" | "b";

/**
 * Two gateways in processes of their own that are started again when they die, and the UDP emulator
 * between them. The ports stay what they are, so that a gateway comes back where it was.
 */
export class ReferenceSites {
  private constructor(
    readonly relay: Relay,
    private readonly gateways: Readonly<Record<SiteName, SupervisedGateway>>,
  ) {}

  static async start(
    profile: WanProfile,
    seed: number,
    owned: AsyncDisposableStack,
  ): Promise<ReferenceSites> {
    // Socket paths hold 107 bytes, so the folder must be near the root.
    const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "cw-ex-" });
    owned.defer(() => Deno.remove(directory, { recursive: true }));
    owned.defer(() => endMachines(directory));
    const make = (site: SiteName) =>
      initSite({
        site,
        dir: `${directory}/${site}`,
        link: `127.0.0.1:${freePort()}`,
        http: `127.0.0.1:${freePort()}`,
      });
    const [a, b] = [await make("a"), await make("b")];
    await trustPeer({ config: b.configPath, peer: "a", certificate: a.certificatePath });
    const gatewayB = owned.use(await SupervisedGateway.start(b.configPath, b.apiTokenPath));
    const to = await gatewayB.ready("link");
    const relay = await startRelay({ profile, seed, listen: "127.0.0.1:0", to });
    owned.defer(() => relay.close());
    await trustPeer({
      config: a.configPath,
      peer: "b",
      certificate: b.certificatePath,
      address: relay.address,
    });
    const gatewayA = owned.use(await SupervisedGateway.start(a.configPath, a.apiTokenPath));
    return new ReferenceSites(relay, { a: gatewayA, b: gatewayB });
  }

  /** Of the process that serves now. */
  api(site: SiteName): Promise<SiteApi> {
    return this.gateways[site].api();
  }

  /** The gateway dies at once, and comes back. */
  kill(site: SiteName): void {
    this.gateways[site].kill("SIGKILL");
  }
}

/** One that nobody listens on at this moment. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
