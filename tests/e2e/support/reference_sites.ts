import assert from "node:assert/strict";
import { type GuestDefinition, guestDefinition } from "../../../src/guest/definition.ts";
import {
  attachReferenceGuest,
  machineDirectory,
  type ReferenceGuest,
} from "../../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../../src/host/system_clock.ts";
import type { PageLimits } from "../../../src/image/page_memory.ts";
import type { KeptLimits } from "../../../src/migration/kept_images.ts";
import { migrationOptions } from "../../../src/migration/options.ts";
import { GuestFaults, interceptGuest } from "../../../src/testing/guest_faults.ts";
import { type PathShape, TwoSites } from "../../../src/testing/two_sites.ts";

export type Site = "a" | "b";
type ReferenceDefinition = Extract<GuestDefinition, { kind: "reference" }>;

/** Slow enough that a test can act in the middle of the copy. */
export const SLOW_PATH: PathShape = { delayMs: 5, bytesPerSecond: 6_000_000 };
/** A busy computer must not undo switches, and silence is to be noticed after a second. */
const DOWNTIME_BUDGET_MS = 900;
const LOOK_MS = 20;
const clock = systemClock();

/** What of a machine a test chooses. */
export interface MachineShape {
  readonly memoryMiB?: number;
  readonly freeMiB?: number;
}

/** A busy machine that is small enough to move in a second. */
export function machineDefinition(
  role: "source" | "incoming",
  { memoryMiB = 16, freeMiB = 0 }: MachineShape = {},
) {
  return guestDefinition.parse({
    kind: "reference",
    role,
    memoryMiB,
    disks: [{ sizeMiB: 8 }],
    workload: {
      seed: 7,
      hotMiB: 1,
      memoryBytesPerSecond: 1_000_000,
      diskBytesPerSecond: 200_000,
      freeMiB,
    },
  });
}

/**
 * Two whole gateways with reference machines, faults at every call to a machine, and a watch that
 * no machine ever runs at both sites.
 */
export class ReferenceSites implements AsyncDisposable {
  readonly #watching = new AbortController();
  readonly #watched: Promise<void>;
  /** What the watch saw that must never be. */
  readonly violations: string[] = [];

  private constructor(readonly sites: TwoSites, readonly faults: GuestFaults) {
    this.#watched = this.#watch();
  }

  static async start(
    path?: PathShape,
    pages?: PageLimits,
    kept?: Partial<KeptLimits>,
  ): Promise<ReferenceSites> {
    const faults = new GuestFaults();
    const sites = await TwoSites.start(
      (site, stateDirectory) => async (request) => {
        const definition = request.definition as ReferenceDefinition;
        const guest = await attach(stateDirectory, request.id, definition, request.launch);
        return interceptGuest(guest, faults.around(site));
      },
      path,
      pages,
      kept,
    );
    return new ReferenceSites(sites, faults);
  }

  get a() {
    return this.sites.a;
  }

  get b() {
    return this.sites.b;
  }

  async register(
    site: Site,
    role: "source" | "incoming",
    guest = "g",
    shape: MachineShape = {},
  ): Promise<void> {
    await this.sites[site].putGuest(guest, machineDefinition(role, shape));
  }

  /** Registers the machine at both sites and asks for its move from a to b. */
  async move(
    options: Record<string, unknown> = {},
    guest = "g",
    shape: MachineShape = {},
  ): Promise<string> {
    await this.register("a", "source", guest, shape);
    await this.register("b", "incoming", guest);
    const request = {
      guest,
      to: "b",
      options: migrationOptions.parse({ maxDowntimeMs: DOWNTIME_BUDGET_MS, ...options }),
    };
    return (await this.a.startMigration(request)).id;
  }

  /** Resolves when the disk copy is under way. */
  async copying(id: string): Promise<void> {
    await this.sites.until("a", id, ({ wireBytes }) => wireBytes.disk > 300_000);
  }

  /** The move ends `completed`, and the machine is whole at b. */
  async assertArrives(id: string, guest = "g"): Promise<void> {
    const report = await this.sites.ended("a", id);
    assert.equal(report.state, "completed", this.#account(report));
    assert.equal(report.owner, "b");
    await this.assertRunsWhole("b", guest);
  }

  /** The move ends `failed` with `code`, told at both sites, and the machine is whole at a. */
  async assertStays(id: string, code: string, guest = "g"): Promise<void> {
    const report = await this.sites.ended("a", id);
    assert.equal(report.state, "failed", this.#account(report));
    assert.equal(report.error?.code, code, this.#account(report));
    assert.notEqual(report.error?.hint, "");
    assert.equal(report.owner, "a");
    assert.deepEqual(report.machine, { site: "a", runState: "running" });
    await this.assertRunsWhole("a", guest);
    const there = await this.sites.ended("b", id);
    assert.equal(there.state, "failed", this.#account(there));
    assert.equal(there.error?.code, code, this.#account(there));
    assert.equal(there.owner, "a");
  }

  /** It runs at `at` alone, never ran at both, and is whole by its own account. */
  async assertRunsWhole(at: Site, guest = "g"): Promise<void> {
    const other = at === "a" ? "b" : "a";
    assert.equal(
      (await this.sites[at].guest(guest)).runState,
      "running",
      this.sites.log.join("\n"),
    );
    assert.notEqual((await this.sites[other].guest(guest)).runState, "running");
    const check = await this.sites[at].verifyGuest(guest) as { ok: boolean };
    assert.equal(check.ok, true, JSON.stringify(check));
    assert.deepEqual(this.violations, []);
  }

  /** A move of the same machine works, whatever was before. */
  async assertMovesNow(): Promise<void> {
    await this.assertArrives(await this.move());
  }

  /**
   * From now on the site's ledger refuses entries of one kind, as a full or failing disk would.
   *
   * @returns ends it
   */
  failLedger(site: Site, kind: string, table = "migration_event"): () => void {
    const run = (sql: string) => {
      const database = this.sites.ledger(site);
      try {
        database.exec(sql);
      } finally {
        database.close();
      }
    };
    const name = `fail_${kind}`;
    run(`CREATE TRIGGER ${name} BEFORE INSERT ON ${table} WHEN NEW.kind = '${kind}'
         BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`);
    return () => run(`DROP TRIGGER ${name}`);
  }

  /** Kinds of a move's events in a site's ledger, in order. */
  events(site: Site, id: string): string[] {
    const database = this.sites.ledger(site);
    try {
      return database.prepare(
        "SELECT kind FROM migration_event WHERE migration_id = ? ORDER BY number",
      ).all(id).map(({ kind }) => kind as string);
    } finally {
      database.close();
    }
  }

  /** Kills the machine's process at a site with SIGKILL. */
  async killMachine(site: Site, guest = "g"): Promise<void> {
    const directory = machineDirectory(stateDirectory(this.sites, site, guest), guest);
    Deno.kill(Number(await Deno.readTextFile(`${directory}/machine.pid`)), "SIGKILL");
  }

  /** Takes everything from the disk of a machine that does not run at a site. */
  async emptyDisk(site: Site, guest = "g"): Promise<void> {
    const directory = machineDirectory(stateDirectory(this.sites, site, guest), guest);
    await Deno.truncate(`${directory}/disk0.raw`);
  }

  /** Pauses a running machine behind its gateway's back. */
  async pauseMachine(site: Site, guest = "g"): Promise<void> {
    const definition = machineDefinition("source") as ReferenceDefinition;
    const machine = await attach(`${this.sites.directory}/${site}`, guest, definition, false);
    await machine.source.pause();
    await machine.detach();
  }

  /** Starts a loaded machine behind its gateway's back, as an operator with a monitor could. */
  async startLoadedMachine(site: Site, guest = "g"): Promise<void> {
    const definition = machineDefinition("incoming") as ReferenceDefinition;
    const machine = await attach(`${this.sites.directory}/${site}`, guest, definition, false);
    await machine.destination.start();
    await machine.detach();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching.abort();
    await this.#watched;
    await this.sites[Symbol.asyncDispose]();
  }

  /** Looks at both machines in turn: running at both in two looks in a row overlaps for certain. */
  async #watch(): Promise<void> {
    const definition = machineDefinition("source") as ReferenceDefinition;
    const machines = { a: null as ReferenceGuest | null, b: null as ReferenceGuest | null };
    const runs = async (site: Site) => {
      try {
        machines[site] ??= await attach(
          `${this.sites.directory}/${site}`,
          "g",
          definition,
          false,
        );
        return await machines[site].runState() === "running";
      } catch {
        machines[site] = null;
        return false;
      }
    };
    const both = async () => await runs("a") && await runs("b");
    while (!this.#watching.signal.aborted) {
      if (await both() && await both()) this.violations.push("g runs at both sites");
      await clock.sleep(LOOK_MS);
    }
    await Promise.all([machines.a?.detach(), machines.b?.detach()]);
  }

  #account(report: unknown): string {
    return JSON.stringify({ report, log: this.sites.log.slice(-30) }, null, 1);
  }
}

function stateDirectory(sites: TwoSites, site: Site, guest: string): string {
  return `${sites.directory}/${site}/guest-${guest}`;
}

function attach(
  directory: string,
  id: string,
  definition: ReferenceDefinition,
  mayStart: boolean,
): Promise<ReferenceGuest> {
  return attachReferenceGuest({
    id,
    definition,
    stateDirectory: `${directory}/guest-${id}`,
    clock,
    mayStart,
  });
}

/** `promise`, or an error that says what did not happen in time. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const waiting = new AbortController();
  const late = clock.sleep(ms, waiting.signal).then(() => {
    throw new Error(`${what} did not happen within ${ms} ms`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    waiting.abort();
  }
}
