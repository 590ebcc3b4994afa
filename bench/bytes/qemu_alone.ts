import type { QmpClient } from "../../src/qemu/qmp/client.ts";
import { type Arena, bothWays, crossed, type SiteName } from "./arena.ts";
import { type Contestant, type Cost, type Metered, metered, type Patience } from "./contestant.ts";
import { DISK_NODE, type Machine, type MachineEnd, until } from "./machine.ts";

interface Setting {
  readonly capabilities: readonly string[];
  readonly parameters: Readonly<Record<string, string | number>>;
}

/** How QEMU moves memory by itself. Each begins with QEMU's own defaults. */
export const QEMU_SETTINGS = {
  "qemu-plain": { capabilities: [], parameters: {} },
  "qemu-multifd-zstd": {
    capabilities: ["multifd"],
    // The level of the bound; the default is 1.
    parameters: {
      "multifd-channels": 4,
      "multifd-compression": "zstd",
      "multifd-zstd-level": 3,
    },
  },
  "qemu-auto-converge": {
    capabilities: ["auto-converge"],
    parameters: {},
  },
  "qemu-xbzrle": {
    capabilities: ["xbzrle"],
    // Room for every page of the machine, so that nothing is missed for want of cache.
    parameters: { "xbzrle-cache-size": 512 * 1024 * 1024 },
  },
} as const satisfies Record<string, Setting>;
export type QemuSettingName = keyof typeof QEMU_SETTINGS;

const EXPORT = "disk";
const TARGET_NODE = "target";
const JOB = "mirror";
const FIRST_PORT = 9000;
const POLL_MS = 100;

/** The members of `query-migrate` that are read here. */
interface MigrateInfo {
  readonly status?: string;
  readonly "error-desc"?: string;
  readonly downtime?: number;
  readonly ram?: { readonly transferred?: number; readonly "dirty-sync-count"?: number };
}

/**
 * QEMU without gateways: the disk by blockdev-mirror into an NBD export of the destination, then,
 * with the mirror still running, memory over TCP; all of it through the emulated link.
 */
export class QemuAlone implements Contestant {
  #port = FIRST_PORT;

  constructor(
    readonly name: QemuSettingName,
    private readonly arena: Arena,
    private readonly patience: Patience,
  ) {}

  /** @param begins called when the other QEMU waits and the move as such begins */
  async move(
    machine: Machine,
    to: SiteName,
    begins: () => void = () => {},
  ): Promise<{ cost: Cost; end: MachineEnd }> {
    const end = await machine.expectAt(to);
    const source = machine.here.qmp;
    let converged = true;
    const { value, meter } = await metered(this.arena, async () => {
      begins();
      const diskBytes = await this.#begin(source, end);
      const startMs = performance.now();
      await this.#untilStatus(source, "pre-switchover", async () => {
        if (!converged || performance.now() - startMs < this.patience.convergenceMs) return;
        // What an operator would do with a machine that is too busy to move.
        converged = false;
        await source.execute("stop");
      });
      await this.#endMirror(source, false);
      await end.qmp.execute("block-export-del", { id: EXPORT, mode: "hard" });
      await until("the export is gone", async () => (await exports(end.qmp)) === 0);
      await end.qmp.execute("nbd-server-stop");
      await source.execute("migrate-continue", { state: "pre-switchover" });
      const info = await this.#untilStatus(source, "completed");
      await end.qmp.execute("cont");
      return { diskBytes, info };
    });
    return { cost: this.#cost(value.info, value.diskBytes, meter, converged), end };
  }

  async cancelledMove(machine: Machine, to: SiteName): Promise<Cost> {
    const end = await machine.expectAt(to);
    const source = machine.here.qmp;
    const { value, meter } = await metered(this.arena, async () => {
      const diskBytes = await this.#begin(source, end);
      let info: MigrateInfo = {};
      await until("the first pass over memory", async () => {
        info = await queryMigrate(source);
        return info.status === "pre-switchover" || (info.ram?.["dirty-sync-count"] ?? 0) >= 2;
      });
      await source.execute("migrate_cancel");
      await this.#untilStatus(source, "cancelled");
      await this.#endMirror(source, true);
      return { diskBytes, info };
    });
    await end.end();
    return this.#cost(value.info, value.diskBytes, meter, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The disk is in sync and memory on its way; returns what the disk took so far. */
  async #begin(source: QmpClient, end: MachineEnd): Promise<number> {
    const { address } = end.site;
    const [nbdPort, memoryPort] = [this.#port++, this.#port++];
    const server = { host: address, port: String(nbdPort) };
    const before = await this.arena.wire();
    for (const qmp of [end.qmp, source]) await this.#set(qmp);
    await end.qmp.execute("nbd-server-start", { addr: { type: "inet", data: server } });
    await end.qmp.execute("block-export-add", {
      id: EXPORT,
      type: "nbd",
      "node-name": DISK_NODE,
      name: EXPORT,
      writable: true,
    });
    await source.execute("blockdev-add", {
      driver: "nbd",
      "node-name": TARGET_NODE,
      server: { type: "inet", ...server },
      export: EXPORT,
    });
    await source.execute("blockdev-mirror", {
      "job-id": JOB,
      device: DISK_NODE,
      target: TARGET_NODE,
      sync: "full",
    });
    const deadlineMs = performance.now() + this.patience.timeLimitMs;
    while (!(await jobs(source)).some(({ ready }) => ready)) {
      if (performance.now() > deadlineMs) throw new Error("The mirror did not get ready");
      await pause();
    }
    const diskBytes = bothWays(crossed(before, await this.arena.wire()));
    await end.qmp.execute("migrate-incoming", { uri: `tcp:${address}:${memoryPort}` });
    await source.execute("migrate", { uri: `tcp:${address}:${memoryPort}` });
    return diskBytes;
  }

  async #set(qmp: QmpClient): Promise<void> {
    const { capabilities, parameters }: Setting = QEMU_SETTINGS[this.name];
    const names = ["events", "return-path", "pause-before-switchover", ...capabilities];
    await qmp.execute("migrate-set-capabilities", {
      capabilities: names.map((capability) => ({ capability, state: true })),
    });
    await qmp.execute("migrate-set-parameters", parameters);
  }

  async #endMirror(source: QmpClient, force: boolean): Promise<void> {
    // A mirror that is given up may have ended by itself when the migration was cancelled.
    const hasEnded = force && (await jobs(source)).length === 0;
    if (!hasEnded) await source.execute("block-job-cancel", { device: JOB, force });
    await until("the mirror's end", async () => (await jobs(source)).length === 0);
    await source.execute("blockdev-del", { "node-name": TARGET_NODE });
  }

  async #untilStatus(
    source: QmpClient,
    wanted: string,
    look: () => Promise<void> = () => Promise.resolve(),
  ): Promise<MigrateInfo> {
    const deadlineMs = performance.now() + this.patience.timeLimitMs;
    for (;;) {
      const info = await queryMigrate(source);
      if (info.status === wanted) return info;
      if (info.status === "failed" || performance.now() > deadlineMs) {
        throw new Error(`${this.name} is not ${wanted}: ${JSON.stringify(info)}`);
      }
      await look();
      await pause();
    }
  }

  #cost(
    info: MigrateInfo,
    diskBytes: number,
    meter: Metered,
    converged: boolean,
  ): Cost {
    const memoryBytes = info.ram?.transferred ?? null;
    const detail = {
      downtimeMs: info.downtime ?? null,
      passes: info.ram?.["dirty-sync-count"] ?? null,
      ram: info.ram ?? null,
    };
    return { ...meter, memoryBytes, diskBytes, converged, detail };
  }
}

async function queryMigrate(qmp: QmpClient): Promise<MigrateInfo> {
  return await qmp.execute("query-migrate") as MigrateInfo;
}

async function jobs(qmp: QmpClient): Promise<{ ready: boolean }[]> {
  return await qmp.execute("query-block-jobs") as { ready: boolean }[];
}

async function exports(qmp: QmpClient): Promise<number> {
  return (await qmp.execute("query-block-exports") as unknown[]).length;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
