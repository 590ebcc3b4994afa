import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { type Relay, startRelay } from "../../src/emulator/udp_relay.ts";
import { endMachines } from "../../src/cli/demo/children.ts";
import { SupervisedGateway } from "../../src/testing/supervised_gateway.ts";

export type SiteName = "a" | "b";

/** What the gateway of a site uses at one moment. */
export interface Usage {
  readonly pid: number;
  readonly residentBytes: number;
  readonly handles: number;
  /** Of the state directory without the ledger, which grows by what every move leaves in it. */
  readonly stateBytes: number;
  readonly ledgerBytes: number;
}

const MIB = 1024 * 1024;
/** Small, so that what may fill up is full before the first sample counts. */
const LIMITS = { siteStoreBytesMax: 16 * MIB, keptBytesMax: 256 * MIB };

/** Two sites of gateway processes that are started again when they die, over an emulated link. */
export class SoakSites implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly gateways: Readonly<Record<SiteName, SupervisedGateway>>,
    readonly relay: Relay,
    private readonly owned: AsyncDisposableStack,
  ) {}

  static async start(profile: string, seed: number): Promise<SoakSites> {
    // Short: paths of unix sockets below it hold 107 bytes.
    const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "cw-soak-" });
    await using made = new AsyncDisposableStack();
    made.defer(async () => {
      await endMachines(directory);
      await Deno.remove(directory, { recursive: true });
    });
    // A restarted gateway must be found where it was: b has a port of its own, a dials the relay.
    const address = `127.0.0.1:${freePort()}`;
    const site = (name: string, link: string) =>
      initSite({ site: name, dir: `${directory}/${name}`, link, http: "127.0.0.1:0" });
    const [a, b] = await Promise.all([site("a", "127.0.0.1:0"), site("b", address)]);
    for (const { configPath } of [a, b]) await setLimits(configPath);
    const relay = await startRelay({
      profile: await loadProfile(profile),
      listen: "127.0.0.1:0",
      to: address,
      seed,
    });
    made.defer(() => relay.close());
    await trustPeer({
      config: a.configPath,
      peer: "b",
      certificate: b.certificatePath,
      address: relay.address,
    });
    await trustPeer({ config: b.configPath, peer: "a", certificate: a.certificatePath });
    const [atA, atB] = await Promise.all(
      [a, b].map((made) => SupervisedGateway.start(made.configPath, made.apiTokenPath)),
    );
    made.use(atA);
    made.use(atB);
    return new SoakSites(directory, { a: atA, b: atB }, relay, made.move());
  }

  /** Null while the gateway is between two processes. */
  async usage(site: SiteName): Promise<Usage | null> {
    try {
      const pid = Number(await this.gateways[site].ready("pid"));
      const status = await Deno.readTextFile(`/proc/${pid}/status`);
      const state = `${this.directory}/${site}/state`;
      const all = await bytesBelow(state);
      const ledgerBytes = await bytesBelow(state, /^ledger\./);
      return {
        pid,
        residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024,
        handles: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
        stateBytes: all - ledgerBytes,
        ledgerBytes,
      };
    } catch {
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

async function setLimits(configPath: string): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(configPath));
  await Deno.writeTextFile(configPath, JSON.stringify({ ...config, limits: LIMITS }, null, 2));
}

/** What the files take, holes not counted; one that goes meanwhile counts nothing. */
async function bytesBelow(directory: string, named = /^/): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    // Disks and memory of the machines themselves are no state of the gateway.
    if (isDirectory && /^(?:reference|qemu|guests)$/.test(name)) continue;
    if (isDirectory) bytes += named.test(name) ? await bytesBelow(path) : 0;
    else if (named.test(name)) {
      bytes += await Deno.stat(path).then(({ blocks }) => (blocks ?? 0) * 512, () => 0);
    }
  }
  return bytes;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
