import { systemClock } from "../host/system_clock.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Carrier, CarrierEndpoint } from "../link/carrier.ts";
import { type MemoryCarrierPair, memoryCarrierPair } from "../link/memory_carrier.ts";
import { type AttachGuest } from "../gateway/guests.ts";
import { type Gateway, startGateway } from "../gateway/gateway.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";

export interface PathShape {
  readonly delayMs: number;
  readonly bytesPerSecond: number | null;
}

/**
 * Two whole gateways in one process, joined by an in-memory path: real actors, ledger files, session
 * and machines, without QUIC. For tests of what a move does, not of what carries it.
 */
export class TwoSites implements AsyncDisposable {
  readonly clock: Clock = systemClock();
  readonly log: string[] = [];
  readonly #gateways = new Map<string, Gateway>();
  readonly #endpoints = new Map<string, MemoryEndpoint>();
  readonly #pairs = new Set<MemoryCarrierPair>();

  private constructor(
    readonly directory: string,
    private readonly attach: (site: string) => AttachGuest,
    private readonly path: PathShape,
  ) {}

  static async start(
    attach: (site: string, stateDirectory: string) => AttachGuest,
    path: PathShape = { delayMs: 5, bytesPerSecond: 40_000_000 },
  ): Promise<TwoSites> {
    const directory = await Deno.makeTempDir({ prefix: "cw-sites-" });
    const sites = new TwoSites(directory, (site) => attach(site, `${directory}/${site}`), path);
    await sites.startSite("a");
    await sites.startSite("b");
    return sites;
  }

  get a() {
    return this.#gateways.get("a")!.service;
  }

  get b() {
    return this.#gateways.get("b")!.service;
  }

  /** Starts a gateway of site `name`, as a fresh process would: it knows only its directory. */
  async startSite(name: string): Promise<void> {
    const directory = `${this.directory}/${name}`;
    await Deno.mkdir(directory, { recursive: true });
    const other = name === "a" ? "b" : "a";
    this.#gateways.set(
      name,
      await startGateway({
        site: name,
        ledgerFile: `${directory}/ledger.sqlite`,
        stateDirectory: directory,
        clock: this.clock,
        attach: this.attach(name),
        readPeers: () => Promise.resolve([{ name: other, address: null, fingerprint: "sha256:0" }]),
        openEndpoint: (incarnation) => {
          const endpoint = new MemoryEndpoint(name, incarnation, (from) => this.#join(from, other));
          this.#endpoints.set(name, endpoint);
          return Promise.resolve(endpoint);
        },
        newId: () => crypto.randomUUID(),
        log: (level, message) => this.log.push(`${name} ${level} ${message}`),
      }),
    );
  }

  /** Ends a gateway; its machines go on, as they do when its process is stopped. */
  async stopSite(name: string): Promise<void> {
    this.#endpoints.delete(name);
    await this.#gateways.get(name)?.close();
    this.#gateways.delete(name);
  }

  /** Cuts every connection between both sites; they dial again. */
  cut(): void {
    for (const pair of this.#pairs) pair.cut("cut by the test");
    this.#pairs.clear();
  }

  /** Resolves with the first report of a migration that fits. */
  until(
    site: "a" | "b",
    id: string,
    fits: (report: MigrationReport) => boolean,
  ): Promise<MigrationReport> {
    const service = this[site];
    return new Promise((resolve) => {
      const check = (report: MigrationReport) => {
        if (!fits(report)) return;
        stop();
        resolve(report);
      };
      const stop = service.onReport(id, check);
      check(service.migration(id));
    });
  }

  ended(site: "a" | "b", id: string): Promise<MigrationReport> {
    return this.until(site, id, (report) => ENDED_STATES.includes(report.state));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [name, { service }] of this.#gateways) {
      for (const guest of await service.guests()) {
        await service.deleteGuest(guest.id, true).catch(() => {});
      }
      await this.stopSite(name);
    }
    await Deno.remove(this.directory, { recursive: true }).catch(() => {});
  }

  #join(from: MemoryEndpoint, to: string): Carrier {
    const target = this.#endpoints.get(to);
    if (!target) {
      throw new GatewayError("peer_unreachable", `Cannot reach ${to}: its gateway is stopped`, {
        hint: "Start it",
      });
    }
    const pair = memoryCarrierPair(
      { clock: this.clock, random: () => 0.5, jitterMs: 0, ...this.path },
      { peerName: to, peerIncarnation: target.incarnation },
      { peerName: from.site, peerIncarnation: from.incarnation },
    );
    this.#pairs.add(pair);
    target.accept(pair.b);
    return pair.a;
  }
}

class MemoryEndpoint implements CarrierEndpoint {
  readonly address = "memory";
  #listener: ((carrier: Carrier) => void) | null = null;

  constructor(
    readonly site: string,
    readonly incarnation: string,
    private readonly join: (from: MemoryEndpoint) => Carrier,
  ) {}

  dial(): Promise<Carrier> {
    return Promise.resolve().then(() => this.join(this));
  }

  accept(carrier: Carrier): void {
    this.#listener?.(carrier);
  }

  onAccept(listener: (carrier: Carrier) => void): void {
    this.#listener = listener;
  }

  onRefusal(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
