import { DatabaseSync } from "node:sqlite";
import { systemClock } from "../host/system_clock.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Carrier, CarrierEndpoint } from "../link/carrier.ts";
import { type MemoryCarrierPair, memoryCarrierPair } from "../link/memory_carrier.ts";
import { type AttachGuest } from "../gateway/guests.ts";
import type { Fence } from "../gateway/fence.ts";
import { type Gateway, startGateway } from "../gateway/gateway.ts";
import { NO_RULES, type SiteRules } from "../gateway/site_rules.ts";
import { DEFAULT_PAGE_LIMITS, type PageLimits } from "../image/page_memory.ts";
import { DEFAULT_KEPT_LIMITS, type KeptLimits } from "../migration/kept_images.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import type { Means } from "../redirect/means.ts";
import type { Probe } from "../redirect/probes.ts";
import type { RedirectSubject } from "../redirect/state.ts";
import { Life } from "./mortal.ts";

/** A move that has not come to what a test waits for by then never will. */
const REPORT_TIMEOUT_MS = 30_000;
/** A move that waits for its link publishes nothing, while its report changes with the path. */
const LOOK_MS = 100;

/** Room for all that one test's machines send. */
const STORE_BYTES_MAX = 256 * 1024 * 1024;

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
  /** What a site's configuration allows and accepts, by its name; may be changed at any time. */
  readonly rules = new Map<string, SiteRules>();
  readonly #gateways = new Map<string, Gateway>();
  readonly #endpoints = new Map<string, MemoryEndpoint>();
  readonly #pairs = new Set<MemoryCarrierPair>();
  readonly #lives = new Map<string, Life>();
  #outage: Outage | null = null;

  private constructor(
    readonly directory: string,
    private readonly attach: (site: string) => AttachGuest,
    private readonly path: PathShape,
    private readonly pages: PageLimits,
    private readonly kept: Partial<KeptLimits>,
  ) {}

  static async start(
    attach: (site: string, stateDirectory: string) => AttachGuest,
    path: PathShape = { delayMs: 5, bytesPerSecond: 40_000_000 },
    pages: PageLimits = DEFAULT_PAGE_LIMITS,
    kept: Partial<KeptLimits> = {},
  ): Promise<TwoSites> {
    const directory = await Deno.makeTempDir({ prefix: "cw-sites-" });
    const attachAt = (site: string) => attach(site, `${directory}/${site}`);
    const sites = new TwoSites(directory, attachAt, path, pages, kept);
    await sites.startSite("a");
    await sites.startSite("b");
    return sites;
  }

  /** What makes addresses follow at sites, by name; without it nothing is touched. */
  readonly means = new Map<string, (subject: RedirectSubject) => readonly Means[]>();

  /** Whether machines are reached from sites, by name; without it they always are. */
  readonly probes = new Map<string, Probe>();

  /** The fence commands of sites, by name; without one everything is fenced. */
  readonly fences = new Map<string, Fence>();

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
    const life = new Life();
    this.#lives.set(name, life);
    this.#gateways.set(
      name,
      await startGateway({
        site: name,
        ledgerFile: `${directory}/ledger.sqlite`,
        stateDirectory: directory,
        pages: this.pages,
        clock: life.clock(this.clock),
        kept: { ...DEFAULT_KEPT_LIMITS, ...this.kept },
        attach: life.attach(this.attach(name)),
        store: { bytesMax: STORE_BYTES_MAX, sharedImages: [] },
        rules: () => this.rules.get(name) ?? NO_RULES,
        carrier: "quic",
        readPeers: () => Promise.resolve([{ name: other, address: null, fingerprint: "sha256:0" }]),
        openEndpoint: (incarnation) => {
          const endpoint = new MemoryEndpoint(
            name,
            incarnation,
            (from, signal) => life.pass(() => this.#join(from, other, signal)),
          );
          this.#endpoints.set(name, endpoint);
          return Promise.resolve(endpoint);
        },
        fence: async (request) =>
          await this.fences.get(name)?.(request) ?? { exitCode: 0, durationMs: 0, output: "" },
        probe: async (...asked) => await this.probes.get(name)?.(...asked) ?? true,
        makeMeans: (subject) => [...this.means.get(name)?.(subject) ?? []],
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

  /**
   * The gateway dies where it stands, as by SIGKILL: nothing is undone, told or closed in order; its
   * machines go on and find their sockets closed. `startSite` starts the next one.
   */
  async crashSite(name: string): Promise<void> {
    this.#endpoints.delete(name);
    this.#gateways.delete(name);
    const dead = this.#lives.get(name)!.kill();
    this.cut();
    await dead;
  }

  /** Cuts every connection between both sites; they dial again. */
  cut(): void {
    for (const pair of this.#pairs) pair.cut("cut by the test");
    this.#pairs.clear();
  }

  /** Nothing passes until `heal`: connections are cut and refused, or only silent. */
  breakPath(kind: "cut" | "silent"): void {
    this.#outage ??= { kind, over: Promise.withResolvers<void>() };
    if (kind === "cut") return this.cut();
    for (const pair of this.#pairs) pair.stall(true);
  }

  heal(): void {
    for (const pair of this.#pairs) pair.stall(false);
    this.#outage?.over.resolve();
    this.#outage = null;
  }

  /** A connection of the test's own to a site's ledger; the caller closes it. */
  ledger(name: string): DatabaseSync {
    const database = new DatabaseSync(`${this.directory}/${name}/ledger.sqlite`);
    database.exec("PRAGMA busy_timeout = 2000");
    return database;
  }

  /** Resolves with the first report of a migration that fits; rejects with the last one otherwise. */
  until(
    site: "a" | "b",
    id: string,
    fits: (report: MigrationReport) => boolean,
    timeoutMs = REPORT_TIMEOUT_MS,
  ): Promise<MigrationReport> {
    const service = this[site];
    return new Promise((resolve, reject) => {
      let last: MigrationReport | null = null;
      const stop = () => {
        unsubscribe();
        clearInterval(looking);
        clearTimeout(timer);
      };
      const check = (report: MigrationReport) => {
        last = report;
        if (!fits(report)) return;
        stop();
        resolve(report);
      };
      const look = () => {
        try {
          check(service.migration(id));
        } catch (error) {
          stop();
          reject(error);
        }
      };
      const unsubscribe = service.onReport(id, check);
      const looking = setInterval(look, LOOK_MS);
      const timer = setTimeout(() => {
        stop();
        const seen = { at: site, waitedFor: String(fits), last, log: this.log.slice(-20) };
        reject(
          new Error(`No report fitted in ${timeoutMs} ms: ${JSON.stringify(seen, null, 1)}`),
        );
      }, timeoutMs);
      look();
    });
  }

  ended(site: "a" | "b", id: string): Promise<MigrationReport> {
    return this.until(site, id, (report) => ENDED_STATES.includes(report.state));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal();
    for (const [name, { service }] of this.#gateways) {
      for (const guest of await service.guests()) {
        await service.deleteGuest(guest.id, true).catch(() => {});
      }
      await this.stopSite(name);
    }
    await Deno.remove(this.directory, { recursive: true }).catch(() => {});
  }

  async #join(from: MemoryEndpoint, to: string, signal: AbortSignal): Promise<Carrier> {
    // Over a silent path nothing answers a dial, over a cut one it is refused.
    while (this.#outage?.kind === "silent") {
      await Promise.race([this.#outage.over.promise, aborted(signal)]);
    }
    const target = this.#outage ? undefined : this.#endpoints.get(to);
    if (!target) {
      throw new GatewayError("peer_unreachable", `Cannot reach ${to}: nobody answers there`, {
        hint: "Start it, or heal the path",
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

interface Outage {
  readonly kind: "cut" | "silent";
  readonly over: PromiseWithResolvers<void>;
}

/** Rejects when `signal` aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

class MemoryEndpoint implements CarrierEndpoint {
  readonly address = "memory";
  #listener: ((carrier: Carrier) => void) | null = null;

  constructor(
    readonly site: string,
    readonly incarnation: string,
    private readonly join: (from: MemoryEndpoint, signal: AbortSignal) => Promise<Carrier>,
  ) {}

  dial(_peerName: string, signal: AbortSignal): Promise<Carrier> {
    return this.join(this, signal);
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
