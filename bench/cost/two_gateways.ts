import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { ApiClient } from "../../src/cli/client.ts";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { type Relay, startRelay } from "../../src/emulator/udp_relay.ts";
import {
  type GatewayProcess,
  type GatewayProcessOptions,
  startGateway,
} from "./gateway_process.ts";

/** One end: the gateway's process and its API. */
export interface End {
  readonly process: GatewayProcess;
  readonly api: ApiClient;
}

export interface TwoGatewaysOptions extends GatewayProcessOptions {
  /** A WAN profile between them; null for the bare loopback. */
  readonly profile: string | null;
}

/** Two gateway processes that trust each other, the source dialling. */
export class TwoGateways implements AsyncDisposable {
  private constructor(
    readonly source: End,
    readonly destination: End,
    private readonly relay: Relay | null,
    private readonly remove: () => void,
  ) {}

  static async start(options: TwoGatewaysOptions): Promise<TwoGateways> {
    // The path of a machine's socket must fit 108 bytes, so not where TMPDIR may point.
    const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "causeway-cost-" });
    // Also when this process ends early. A machine whose socket is gone and that no gateway holds
    // ends by itself.
    const removeNow = () => Deno.removeSync(directory, { recursive: true });
    globalThis.addEventListener("unload", removeNow);
    const remove = () => {
      globalThis.removeEventListener("unload", removeNow);
      removeNow();
    };
    const started: GatewayProcess[] = [];
    try {
      const make = (site: string) =>
        initSite({
          site,
          dir: `${directory}/${site}`,
          link: "127.0.0.1:0",
          http: "127.0.0.1:0",
        });
      const [west, east] = [await make("west"), await make("east")];
      await trustPeer({
        config: east.configPath,
        peer: "west",
        certificate: west.certificatePath,
      });
      const destination = await startGateway(east.configPath, options);
      started.push(destination);
      const relay = options.profile === null ? null : await startRelay({
        profile: await loadProfile(options.profile),
        listen: "127.0.0.1:0",
        to: destination.link,
        seed: 1,
      });
      await trustPeer({
        config: west.configPath,
        peer: "east",
        certificate: east.certificatePath,
        address: relay?.address ?? destination.link,
      });
      const source = await startGateway(west.configPath, options);
      return new TwoGateways(
        { process: source, api: await ApiClient.open(west.configPath) },
        { process: destination, api: await ApiClient.open(east.configPath) },
        relay,
        remove,
      );
    } catch (error) {
      await Promise.all(started.map((process) => process.stop()));
      remove();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { api, process } of [this.source, this.destination]) {
      api[Symbol.dispose]();
      await process.stop();
    }
    await this.relay?.close();
    this.remove();
  }
}
