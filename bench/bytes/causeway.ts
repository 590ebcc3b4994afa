import { initSite } from "../../src/config/init.ts";
import { trustPeer } from "../../src/config/trust.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { Serving, SiteApi } from "../../src/testing/site_process.ts";
import { TextLineStream } from "../goodput/lines.ts";
import type { Arena, Site, SiteName } from "./arena.ts";
import { type Contestant, type Cost, type Metered, metered, type Patience } from "./contestant.ts";
import { type Machine, type MachineEnd, until } from "./machine.ts";

const LINK_PORT = 7420;
const HTTP_PORT = 7421;

/** Two gateways as an operator sets them up, `a` dialling `b` through the emulated link. */
export class CausewayGateways implements Contestant {
  readonly name = "causeway";
  /** Machines that run at a site by registration, not by arrival. */
  readonly #registered = new Set<string>();

  private constructor(
    private readonly arena: Arena,
    private readonly apis: Readonly<Record<SiteName, SiteApi>>,
    private readonly patience: Patience,
    private readonly owned: AsyncDisposableStack,
  ) {}

  static async start(arena: Arena, patience: Patience): Promise<CausewayGateways> {
    await using made = new AsyncDisposableStack();
    const init = (site: Site) =>
      initSite({
        site: site.name,
        dir: `${site.directory}/gateway`,
        link: `${site.address}:${LINK_PORT}`,
        http: `127.0.0.1:${HTTP_PORT}`,
      });
    const { a, b } = arena.sites;
    const [madeA, madeB] = [await init(a), await init(b)];
    await trustPeer({
      config: madeA.configPath,
      peer: "b",
      certificate: madeB.certificatePath,
      address: `${b.address}:${LINK_PORT}`,
    });
    await trustPeer({ config: madeB.configPath, peer: "a", certificate: madeA.certificatePath });
    const open = async (site: Site, { configPath, apiTokenPath }: typeof madeA) => {
      const gateway = await Serving.startIn(site.netns, "gateway", "--config", configPath);
      made.use(gateway);
      const socket = `${site.directory}/api`;
      made.use(await openDoor(site.netns, socket));
      const proxy = { transport: "unix" as const, path: socket };
      return await SiteApi.open(gateway, apiTokenPath, made.use(Deno.createHttpClient({ proxy })));
    };
    const apis = { b: await open(b, madeB), a: await open(a, madeA) };
    const gateways = new CausewayGateways(arena, apis, patience, made.move());
    await until("the link between the gateways", async () => {
      const peers = await apis.a.call<{ state: string }[]>("GET", "/peers");
      return peers.every(({ state }) => state === "up");
    });
    return gateways;
  }

  async move(machine: Machine, to: SiteName): Promise<{ cost: Cost; end: MachineEnd }> {
    const end = await this.#expect(machine, to);
    const api = this.apis[machine.here.site.name];
    let converged = true;
    const { value: report, meter } = await metered(this.arena, async () => {
      const { id } = await this.#begin(machine, to, false);
      const done = (report: MigrationReport) => ENDED_STATES.includes(report.state);
      const startMs = performance.now();
      const report = await api.until(
        id,
        (report) => done(report) || performance.now() - startMs > this.patience.convergenceMs,
        this.patience.timeLimitMs,
      );
      if (done(report)) return report;
      converged = false;
      await api.request("POST", `/migrations/${id}/switchover`);
      return await api.until(id, done, this.patience.timeLimitMs);
    });
    if (report.state !== "completed") throw new Error(`The move failed: ${JSON.stringify(report)}`);
    return { cost: cost(report, meter, converged), end };
  }

  async cancelledMove(machine: Machine, to: SiteName): Promise<Cost> {
    const end = await this.#expect(machine, to);
    const api = this.apis[machine.here.site.name];
    const { value: report, meter } = await metered(this.arena, async () => {
      const { id } = await this.#begin(machine, to, true);
      const inSync = await api.until(
        id,
        ({ state }) => state === "holding" || ENDED_STATES.includes(state),
        this.patience.timeLimitMs,
      );
      if (inSync.state !== "holding") throw new Error(`Not held: ${JSON.stringify(inSync)}`);
      await api.call("POST", `/migrations/${id}/cancel`);
      return await api.until(
        id,
        ({ state }) => ENDED_STATES.includes(state),
        this.patience.timeLimitMs,
      );
    });
    if (report.state !== "cancelled") throw new Error(`Not cancelled: ${JSON.stringify(report)}`);
    await end.end();
    return cost(report, meter, true);
  }

  /** Begins a move with options of its own, and leaves the rest of it to the caller. */
  async request(
    machine: Machine,
    to: SiteName,
    options: Record<string, unknown>,
  ): Promise<{ id: string; api: SiteApi; end: MachineEnd }> {
    const end = await this.expect(machine, to);
    return { ...await this.begin(machine, to, options), end };
  }

  /** Registers the machine at both sites, with a QEMU that waits for it. */
  async expect(machine: Machine, to: SiteName): Promise<MachineEnd> {
    return await this.#expect(machine, to);
  }

  /** Asks for the move of a machine that is expected. */
  async begin(
    machine: Machine,
    to: SiteName,
    options: Record<string, unknown>,
  ): Promise<{ id: string; api: SiteApi }> {
    const { id } = await this.#begin(machine, to, false, options);
    return { id, api: this.apis[machine.here.site.name] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }

  async #expect(machine: Machine, to: SiteName): Promise<MachineEnd> {
    const { here, id } = machine;
    if (!this.#registered.has(id)) {
      this.#registered.add(id);
      const definition = { kind: "qemu", qmp: here.freeMonitorPath, role: "source" };
      await this.apis[here.site.name].call("PUT", `/guests/${id}`, definition);
    }
    const end = await machine.expectAt(to);
    const definition = { kind: "qemu", qmp: end.freeMonitorPath, role: "incoming" };
    await this.apis[to].call("PUT", `/guests/${id}`, definition);
    return end;
  }

  #begin(
    machine: Machine,
    to: SiteName,
    hold: boolean,
    options: Record<string, unknown> = {},
  ): Promise<{ id: string }> {
    return this.apis[machine.here.site.name].call("POST", "/migrations", {
      guest: machine.id,
      to,
      hold,
      keepSource: true,
      ...options,
    });
  }
}

function cost(report: MigrationReport, meter: Metered, converged: boolean): Cost {
  return {
    ...meter,
    memoryBytes: report.wireBytes.memory,
    diskBytes: report.wireBytes.disk,
    converged,
    detail: {
      downtimeMs: report.downtimeMs,
      handedToCarrierBytes: report.wireBytes,
      savedBytes: report.savedBytes,
      opaqueBytes: report.opaqueBytes,
      rounds: report.rounds.length,
      decisions: report.decisions.map(({ action }) => action),
    },
  };
}

/** The gateway's API is on the loopback of its namespace, where this process is not. */
async function openDoor(netns: string, socket: string): Promise<AsyncDisposable> {
  const script = `${import.meta.dirname}/door.ts`;
  const deno = [Deno.execPath(), "run", "--quiet", "--no-config", "--allow-all", script];
  const child = new Deno.Command("ip", {
    args: ["netns", "exec", netns, ...deno, socket, "127.0.0.1", String(HTTP_PORT)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(TextLineStream()).getReader();
  const { value } = await lines.read();
  if (value !== "ready") throw new Error("The way to a gateway's API did not open");
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await lines.cancel();
      await child.status;
    },
  };
}
