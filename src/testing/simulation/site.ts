import { GatewayError } from "../../core/errors.ts";
import { type Gateway, startGateway } from "../../gateway/gateway.ts";
import type { AttachGuest } from "../../gateway/guests.ts";
import type { GatewayService } from "../../gateway/service.ts";
import type { GuestDefinition } from "../../guest/definition.ts";
import type { PageLimits } from "../../image/page_memory.ts";
import { type Ledger, openLedger } from "../../ledger/ledger.ts";
import { DEFAULT_KEPT_LIMITS } from "../../migration/kept_images.ts";
import type { Dice } from "./dice.ts";
import type { SiteName } from "./fault_plan.ts";
import { SimGuest, unreachable } from "./guest.ts";
import { SimImage } from "./image.ts";
import { processLedger } from "./ledger.ts";
import { SimMachine, type Workload } from "./machine.ts";
import { SimProcess } from "./process.ts";
import { simulatedRecords, type StoredRecord } from "./records.ts";
import type { World } from "./world.ts";

/** What every run has: one machine with two disks, the second of no whole number of blocks. */
export const GUEST = "g";
const DISKS = [{ id: "root", sizeBytes: 132 * 1024 }, { id: "data", sizeBytes: 77 * 1024 }];
/** The service starts a gateway again that could not start. */
const RESTART_MS = 1_000;
const STOP_MS = 12_000;

/** How a site's things behave, for a whole run. */
export interface SiteShape {
  readonly callMsMax: number;
  readonly groupMs: number;
  /** The machine can be held at its switch. */
  readonly holds: boolean;
  readonly workload: Workload;
  readonly pages: PageLimits;
  readonly dials: boolean;
  /** The gateway starts the machine's process itself. */
  readonly launches: boolean;
  /** Machines that are attached have the same socket one after the other. */
  readonly reusesMonitors: boolean;
}

/** One host: what outlives its gateway's process, and that process. */
export class Site {
  readonly ledger: Ledger;
  readonly images = new Map<string, SimImage>();
  readonly #records = new Map<string, StoredRecord>();
  machine: SimMachine | null = null;
  process: SimProcess | null = null;
  gateway: Gateway | null = null;
  wallOffsetMs = 0;
  ledgerFailsUntilMs = 0;
  diskFault: { readonly code: "disk_full" | "disk_io"; readonly untilMs: number } | null = null;
  readonly #dice: Dice;
  readonly #wallMs: () => number;
  #attachments: SimGuest[] = [];
  #isStopping = false;

  constructor(
    readonly name: SiteName,
    private readonly world: World,
    private readonly shape: SiteShape,
  ) {
    this.#dice = world.dice;
    for (const { id, sizeBytes } of DISKS) {
      const image = new SimImage(`/${name}/${id}.raw`, sizeBytes);
      this.images.set(image.path, image);
    }
    const startMs = Date.UTC(2026, 0, 1);
    this.#wallMs = () => startMs + Math.floor(world.schedule.nowMs + this.wallOffsetMs);
    this.ledger = openLedger(":memory:", {
      wallMs: this.#wallMs,
      nowMs: () => world.schedule.nowMs,
      sleep: () => Promise.reject(new Error("a ledger does not wait")),
    });
  }

  /** Null while no gateway answers here. */
  get service(): GatewayService | null {
    return this.process?.isOver === false ? this.gateway?.service ?? null : null;
  }

  /** A process that has not ended yet, ready or not. */
  get isUp(): boolean {
    return this.process?.isOver === false;
  }

  /** The gateway starts the machine's process. */
  get launches(): boolean {
    return this.shape.launches;
  }

  /** How the machine here is registered. */
  definition(role: "source" | "incoming"): GuestDefinition {
    if (this.shape.launches) return { kind: "qemu", role, launch: { argv: ["sim"], disks: [] } };
    return { kind: "qemu", role, qmp: this.machine!.monitor };
  }

  /**
   * Starts a machine's process on the site's images.
   *
   * @param monitor the socket of an earlier one, to take its place
   */
  newMachine(role: "source" | "incoming", monitor?: string): SimMachine {
    const { schedule, checks } = this.world;
    const number = this.world.nextMachineNumber();
    const machine = new SimMachine({
      number,
      monitor: monitor ?? `/${this.name}/${this.shape.reusesMonitors ? role : number}.qmp`,
      site: this.name,
      role,
      disks: DISKS.map(({ id }) => ({ id, image: this.images.get(`/${this.name}/${id}.raw`)! })),
      workload: this.shape.workload,
      schedule,
      dice: this.#dice,
      watch: checks,
    });
    this.machine = machine;
    this.world.trace(this.name, `machine ${machine.name} starts`, { role });
    if (role === "source") machine.run();
    return machine;
  }

  /** Starts a gateway as a fresh process: it knows only what is on the host. */
  start(): void {
    if (this.isUp) return;
    const { world } = this;
    const process = new SimProcess({
      schedule: world.schedule,
      wallMs: this.#wallMs,
      latenessMs: () => this.#dice.nextRatio() * 2,
      firstMs: this.#dice.between(0, 1e6),
    });
    this.process = process;
    this.gateway = null;
    this.#attachments = [];
    this.#isStopping = false;
    world.trace(this.name, "gateway starts");
    world.checks.replays(this);
    this.#startGateway(process).then((gateway) => {
      if (process.isOver) return;
      this.gateway = gateway;
      world.trace(this.name, "gateway is ready");
      gateway.service.onReport(null, (report) => {
        if (!process.isOver) world.checks.reported(this.name, process, report);
      });
    }, (error) => {
      if (process.isOver) return;
      world.trace(this.name, "gateway does not start", String(error));
      world.count("gateway did not start");
      this.crash(RESTART_MS);
    });
  }

  /**
   * The gateway's process ends where it stands.
   *
   * @param downMs until the service starts it again
   * @returns false where none was there
   */
  crash(downMs: number): boolean {
    if (!this.isUp) return false;
    this.world.trace(this.name, "gateway ends");
    this.process!.end();
    this.gateway = null;
    this.world.schedule.at(downMs, () => this.start());
    return true;
  }

  /** Stops the gateway in good order. */
  stop(downMs: number): boolean {
    const { gateway, process } = this;
    if (gateway === null || process === null || process.isOver || this.#isStopping) return false;
    this.#isStopping = true;
    this.world.trace(this.name, "gateway stops");
    const end = () => void (process.isOver || this.crash(downMs));
    gateway.close().then(end, end);
    process.later(STOP_MS, end);
    return true;
  }

  /** Every connection to the machine's monitor breaks; the machine goes on. */
  loseMonitors(): boolean {
    if (this.#attachments.length === 0) return false;
    for (const attachment of this.#attachments.splice(0)) attachment.lose();
    return true;
  }

  isOpen(image: SimImage): boolean {
    const { machine } = this;
    return machine !== null && !machine.isGone &&
      machine.disks.some((disk) => disk.image === image);
  }

  #startGateway(process: SimProcess): Promise<Gateway> {
    const { world, name, shape } = this;
    const { clock } = process;
    const newId = () => world.newId();
    const ledger = processLedger(this.ledger, process, {
      before: (kind) => {
        world.faults.aroundWrite(name, kind, "before");
        return world.faults.isOver || this.ledgerFailsUntilMs <= world.schedule.nowMs;
      },
      after: (kind, written) => {
        world.checks.written(this, kind, written);
        world.faults.aroundWrite(name, kind, "after");
      },
    });
    const other = name === "a" ? "b" : "a";
    return startGateway({
      site: name,
      ledgerFile: ":memory:",
      stateDirectory: "/nowhere",
      clock,
      attach: this.#attach(process),
      readPeers: () => Promise.resolve([{ name: other, address: null, fingerprint: "sha256:0" }]),
      pages: shape.pages,
      carrier: "quic",
      kept: DEFAULT_KEPT_LIMITS,
      ledger: world.mutation.ledger?.(ledger, this) ?? ledger,
      images: simulatedRecords(
        this.images,
        this.#records,
        process,
        (image) => this.isOpen(image),
        (detail) => world.violated("record", detail),
      ),
      openEndpoint: async (incarnation) => {
        await process.pause(1);
        return world.network.endpoint(name, process, incarnation, shape.dials);
      },
      newId,
      log: (level, message) => {
        if (!process.isOver) world.checks.logged(name, level, message);
      },
    });
  }

  #attach(process: SimProcess): AttachGuest {
    return async ({ definition, launch }) => {
      await process.pause(this.#dice.nextRatio() * this.shape.callMsMax);
      const machine = this.#machineFor(definition, launch);
      const guest = new SimGuest({
        machine,
        process,
        dice: this.#dice,
        watch: {
          around: (site, name, phase) =>
            this.world.faults.aroundCall(site as SiteName, name, phase),
          effect: (effect, of) => this.world.checks.effect(this, effect, of),
        },
        latencyMsMax: this.shape.callMsMax,
        groupMs: this.shape.groupMs,
        holds: this.shape.holds,
      });
      this.#attachments.push(guest);
      return this.world.mutation.guest?.(guest, this) ?? guest;
    };
  }

  #machineFor(definition: GuestDefinition, launch: boolean): SimMachine {
    const { machine } = this;
    const isThere = machine !== null && !machine.isGone;
    if ("qmp" in definition) {
      if (isThere && machine.monitor === definition.qmp) return machine;
      throw unreachable();
    }
    if (isThere) return machine;
    if (launch) return this.newMachine(definition.role);
    throw new GatewayError("guest_gone", "Cannot attach the machine: it does not run here", {
      hint: "Register it again to start it",
    });
  }
}
