import type { RelayCounters } from "../emulator/udp_relay.ts";
import { causewayJson, Serving, SiteApi } from "./site_process.ts";

interface Made {
  readonly fingerprint: string;
  readonly configPath: string;
  readonly certificatePath: string;
  readonly apiTokenPath: string;
}

/** One site: its folder, its gateway's process and API. */
export interface RealSite {
  readonly directory: string;
  readonly configPath: string;
  readonly gateway: Serving;
  readonly api: SiteApi;
}

/**
 * Two sites as an operator sets them up: `init`, `trust`, two `gateway` processes and `emulate`
 * between them. Everything goes through the command line and the API; site `a` dials `b` through the
 * emulated link. Disposing kills what
 * still runs, launched machines included.
 */
export class RealSites implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly a: RealSite,
    readonly b: RealSite,
    readonly emulator: Serving,
    readonly countersPath: string,
    private readonly owned: AsyncDisposableStack,
  ) {}

  static async start(profile: string, seed = 1): Promise<RealSites> {
    // Short: paths of unix sockets below it hold 107 bytes.
    const directory = await Deno.makeTempDir({ prefix: "cw-" });
    await using made = new AsyncDisposableStack();
    made.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    for (const site of ["a", "b"]) made.defer(() => killMachines(`${directory}/${site}`));
    const [a, b] = await Promise.all(["a", "b"].map((site) =>
      causewayJson<Made>(
        ...["init", "--site", site, "--dir", `${directory}/${site}`],
        ...["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"],
      )
    ));
    const gatewayB = made.use(await Serving.start("gateway", "--config", b.configPath));
    const countersPath = `${directory}/counters.json`;
    const emulator = made.use(
      await Serving.start(
        ...["emulate", "--profile", profile, "--seed", String(seed)],
        ...["--listen", "127.0.0.1:0", "--to", gatewayB.ready("link")],
        ...["--counters", countersPath],
      ),
    );
    await causewayJson(
      ...["trust", "--config", a.configPath, "--peer", "b", "--certificate", b.certificatePath],
      ...["--address", emulator.ready("listen")],
    );
    await causewayJson(
      ...["trust", "--config", b.configPath, "--peer", "a", "--certificate", a.certificatePath],
    );
    const gatewayA = made.use(await Serving.start("gateway", "--config", a.configPath));
    const site = async (name: string, { configPath, apiTokenPath }: Made, gateway: Serving) => ({
      directory: `${directory}/${name}`,
      configPath,
      gateway,
      api: await SiteApi.open(gateway, apiTokenPath),
    });
    const siteA = await site("a", a, gatewayA);
    const siteB = await site("b", b, gatewayB);
    return new RealSites(directory, siteA, siteB, emulator, countersPath, made.move());
  }

  /** What the emulated link did up to a second ago; exact after `stop`. */
  async counters(): Promise<RelayCounters> {
    return JSON.parse(await Deno.readTextFile(this.countersPath)) as RelayCounters;
  }

  /** Ends every process as an operator would; returns their exit codes. */
  async stop(): Promise<{ a: number; b: number; emulator: number }> {
    const ended = async (serving: Serving) => (await serving.stop()).code;
    const [a, b] = await Promise.all([ended(this.a.gateway), ended(this.b.gateway)]);
    return { a, b, emulator: await ended(this.emulator) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

/** Machines outlive their gateway, so those of a test that failed are ended by their pid files. */
async function killMachines(siteDirectory: string): Promise<void> {
  for (const pid of await machinePids(siteDirectory)) Deno.kill(pid, "SIGKILL");
}

/** Process ids of the machines that a site's gateway launched and that run. */
export async function machinePids(siteDirectory: string): Promise<number[]> {
  const machines = `${siteDirectory}/state/qemu`;
  const pids: number[] = [];
  for await (const { name } of readDirectory(machines)) {
    const pid = Number(await Deno.readTextFile(`${machines}/${name}/pid`).catch(() => "0"));
    // Asked of grep: Deno itself does not open files of /proc/PID without every permission.
    const args = ["-qs", "--text", "--fixed-strings", "-e", siteDirectory, `/proc/${pid}/cmdline`];
    const { success } = await new Deno.Command("grep", { args }).output();
    if (pid > 1 && success) pids.push(pid);
  }
  return pids;
}

async function* readDirectory(path: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
