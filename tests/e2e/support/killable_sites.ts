import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { initSite } from "../../../src/config/init.ts";
import { trustPeer } from "../../../src/config/trust.ts";
import type { WanProfile } from "../../../src/emulator/settings.ts";
import { type Relay, startRelay } from "../../../src/emulator/udp_relay.ts";
import { systemClock } from "../../../src/host/system_clock.ts";
import type { MigrationReport } from "../../../src/migration/report.ts";
import { connectQmp, type QmpClient } from "../../../src/qemu/qmp/client.ts";
import { createDisk, type QemuProcess, startQemu } from "../../../src/testing/qemu_process.ts";
import { SupervisedGateway } from "../../../src/testing/supervised_gateway.ts";

const DISK_MIB = 64;
const MEMORY_MIB = 160;
/** A busy computer must not undo switches here: that has tests of its own. */
const DOWNTIME_BUDGET_MS = 5_000;
const STEP_TIMEOUT_MS = 90_000;
const POLL_MS = 20;
const ENDED = ["completed", "failed", "cancelled"];

/** A QEMU with a monitor of the test's own beside the gateway's. */
export class WatchedQemu implements AsyncDisposable {
  private constructor(readonly process: QemuProcess, readonly monitor: QmpClient) {}

  /** @param path of its disk, made empty where it is not there */
  static async start(
    directory: string,
    name: string,
    incoming: boolean,
    path = `${directory}/${name}.raw`,
    diskKiBPerSecond = 128,
  ): Promise<WatchedQemu> {
    const isThere = await Deno.stat(path).then(() => true, () => false);
    if (!isThere) await createDisk(path, "raw", DISK_MIB);
    const monitorPath = `${directory}/${name}.own`;
    const process = await startQemu({
      directory,
      name,
      memoryMiB: MEMORY_MIB,
      disks: [{ id: "root", path, format: "raw" }],
      workload: { memoryMiB: 8, memoryKiBPerSecond: 512, diskKiBPerSecond },
      incoming,
      extraArgs: ["-qmp", `unix:${monitorPath},server=on,wait=off`],
    });
    return new WatchedQemu(process, await connectQmp(monitorPath, { clock: systemClock() }));
  }

  /** Resolves at the event that its outgoing migration has come to `status`. */
  reaches(status: string): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      const stop = this.monitor.onEvent(({ name, data }) => {
        if (name !== "MIGRATION" || data.status !== status) return;
        stop();
        resolve();
      });
    });
    const inTimeReached = inTime(`migration status ${status}`, reached);
    // Whoever waits for it may fail before it is awaited.
    inTimeReached.catch(() => {});
    return inTimeReached;
  }

  async status(): Promise<string> {
    return (await this.monitor.execute("query-status") as { status: string }).status;
  }

  async migrationStatus(): Promise<string> {
    return (await this.monitor.execute("query-migrate") as { status: string }).status;
  }

  /** Nothing of a move is left: no export, no bitmap of a round. */
  async assertTidy(): Promise<void> {
    assert.deepEqual(await this.monitor.execute("query-block-exports"), []);
    const nodes = await this.monitor.execute("query-named-block-nodes", { flat: true });
    assert.doesNotMatch(JSON.stringify(nodes), /causeway-round/);
  }

  async assertVerifies(): Promise<void> {
    const answer = await this.process.ask("verify", STEP_TIMEOUT_MS);
    assert.match(answer, /^verify ok /, answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.monitor.close();
    await this.process.kill();
  }
}

/** A monitor's socket that can vanish while the machine behind it lives. */
export class MonitorProxy implements AsyncDisposable {
  readonly #listener: Deno.UnixListener;
  readonly #open = new Set<Deno.Conn>();
  #passing = true;
  readonly #serving: Promise<void>;

  constructor(readonly path: string, private readonly target: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve();
  }

  /** Connections end, and new ones end at once, until `restore`. */
  vanish(): void {
    this.#passing = false;
    for (const conn of this.#open) closeQuietly(conn);
  }

  restore(): void {
    this.#passing = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vanish();
    closeQuietly(this.#listener);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const passing: Promise<unknown>[] = [];
    for await (const conn of this.#listener) {
      if (this.#passing) passing.push(this.#pass(conn));
      else closeQuietly(conn);
    }
    await Promise.all(passing);
  }

  /** Null where the machine has ended. */
  async #behind(): Promise<Deno.Conn | null> {
    for (;;) {
      try {
        return await Deno.connect({ transport: "unix", path: this.target });
      } catch (error) {
        // QEMU's queue holds one; who has left it stays there until its main loop comes round.
        if (!(error instanceof Deno.errors.WouldBlock)) return null;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    }
  }

  async #pass(conn: Deno.Conn): Promise<void> {
    const behind = await this.#behind();
    if (!behind) {
      // The machine has ended: then nobody listens here either.
      closeQuietly(conn);
      return closeQuietly(this.#listener);
    }
    for (const each of [conn, behind]) this.#open.add(each);
    const one = async (from: Deno.Conn, to: Deno.Conn) => {
      await from.readable.pipeTo(to.writable).catch(() => {});
      for (const each of [conn, behind]) closeQuietly(each);
    };
    await Promise.all([one(conn, behind), one(behind, conn)]);
    for (const each of [conn, behind]) this.#open.delete(each);
  }
}

function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // Closed before.
  }
}

/** Two sites of supervised gateway processes over loopback QUIC, with a real machine at site a. */
export class KillableSites implements AsyncDisposable {
  #machineCount = 0;

  private constructor(
    readonly directory: string,
    readonly a: SupervisedGateway,
    readonly b: SupervisedGateway,
    readonly machine: WatchedQemu,
    /** What the gateway of a reaches the machine's monitor by. */
    readonly monitor: MonitorProxy,
    /** Between the gateways; null for the bare loopback. */
    readonly relay: Relay | null,
    private readonly owned: AsyncDisposableStack,
  ) {}

  /** @param profile of an emulated link between the gateways; null for none */
  static async start(
    { booted = true, profile = null, makeDisk, diskKiBPerSecond }: {
      booted?: boolean;
      profile?: WanProfile | null;
      /** Makes the image that the machine boots with, of 64 MiB; an empty one without it. */
      makeDisk?: (path: string, sizeMiB: number) => Promise<void>;
      diskKiBPerSecond?: number;
    } = {},
  ): Promise<KillableSites> {
    const directory = await Deno.makeTempDir({ prefix: "cw-kill-" });
    await using made = new AsyncDisposableStack();
    made.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    await makeDisk?.(`${directory}/a.raw`, DISK_MIB);
    const boot = WatchedQemu.start(directory, "a", false, undefined, diskKiBPerSecond);
    boot.catch(() => {});
    made.defer(async () => await (await boot.catch(() => null))?.[Symbol.asyncDispose]());
    // A restarted gateway must be found where it was: b has a port of its own, a dials it.
    const address = `127.0.0.1:${freePort()}`;
    const site = (name: string, link: string) =>
      initSite({ site: name, dir: `${directory}/${name}-site`, link, http: "127.0.0.1:0" });
    const [a, b] = await Promise.all([site("a", "127.0.0.1:0"), site("b", address)]);
    const trust = (config: string, peer: string, certificate: string, at?: string) =>
      trustPeer({ config, peer, certificate, ...(at ? { address: at } : {}) });
    const relay = profile &&
      await startRelay({ profile, listen: "127.0.0.1:0", to: address, seed: 1 });
    made.defer(async () => await relay?.close());
    await trust(a.configPath, "b", b.certificatePath, relay?.address ?? address);
    await trust(b.configPath, "a", a.certificatePath);
    const gateways = await Promise.all(
      [a, b].map((made) => SupervisedGateway.start(made.configPath, made.apiTokenPath)),
    );
    for (const gateway of gateways) made.use(gateway);
    const machine = await boot;
    const monitor = made.use(new MonitorProxy(`${directory}/a.proxy`, machine.process.qmpPath));
    await (await gateways[0].api()).call("PUT", "/guests/vm", { kind: "qemu", qmp: monitor.path });
    if (booted) await machine.process.waitReady();
    const [atA, atB] = gateways;
    return new KillableSites(directory, atA, atB, machine, monitor, relay, made.move());
  }

  /** A new incoming machine, registered at b; `diskPath` may be what an earlier one has left. */
  async incoming(diskPath?: string): Promise<WatchedQemu> {
    const qemu = this.owned.use(
      await WatchedQemu.start(this.directory, `b${++this.#machineCount}`, true, diskPath),
    );
    const definition = { kind: "qemu", qmp: qemu.process.qmpPath, role: "incoming" };
    await (await this.b.api()).call("PUT", "/guests/vm", definition);
    return qemu;
  }

  async move(options: Record<string, unknown> = {}): Promise<string> {
    const request = { guest: "vm", to: "b", maxDowntimeMs: DOWNTIME_BUDGET_MS, ...options };
    return (await (await this.a.api()).call<MigrationReport>("POST", "/migrations", request)).id;
  }

  async until(
    site: "a" | "b",
    id: string,
    fits: (report: MigrationReport) => boolean,
    timeoutMs = STEP_TIMEOUT_MS,
  ): Promise<MigrationReport> {
    const api = await this[site].api();
    return await api.until(id, fits, timeoutMs).catch((error) => {
      throw new Error(`${error.message}\na: ${this.a.log}\nb: ${this.b.log}`);
    });
  }

  /** `reached`, or its error with what the move is doing instead. */
  async during(id: string, reached: Promise<void>): Promise<void> {
    try {
      await reached;
    } catch (error) {
      const report = await (await this.a.api()).migration(id);
      throw new Error(`${(error as Error).message}: ${JSON.stringify(report)}\na: ${this.a.log}`);
    }
  }

  ended(site: "a" | "b", id: string, timeoutMs?: number): Promise<MigrationReport> {
    return this.until(site, id, ({ state }) => ENDED.includes(state), timeoutMs);
  }

  /** A connection of the test's own to a site's ledger; the caller closes it. */
  ledger(site: "a" | "b"): DatabaseSync {
    const database = new DatabaseSync(`${this.directory}/${site}-site/state/ledger.sqlite`);
    database.exec("PRAGMA busy_timeout = 5000");
    return database;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

/** Resolves when `isTrue` says so; rejects with `what` when it never does. */
export async function eventually(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = STEP_TIMEOUT_MS,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!await isTrue()) {
    if (performance.now() > endMs) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Not within ${STEP_TIMEOUT_MS} ms: ${what}`)),
      STEP_TIMEOUT_MS,
    );
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
