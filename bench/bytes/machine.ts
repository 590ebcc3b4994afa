import { systemClock } from "../../src/host/system_clock.ts";
import { connectQmp, type QmpClient } from "../../src/qemu/qmp/client.ts";
import { guestImage } from "../../src/testing/guest_image/build.ts";
import {
  guestArgv,
  type GuestNetwork,
  type GuestWorkload,
} from "../../src/testing/guest_image/guest_argv.ts";
import { GuestChannel } from "../../src/testing/guest_image/guest_channel.ts";
import { createDisk } from "../../src/testing/qemu_process.ts";
import type { Arena, Site, SiteName } from "./arena.ts";
import { makeBaseDisk } from "./base_disk.ts";

/** The id of the disk's device at both sites; the node that exports and jobs work on is below it. */
export const DISK_ID = "root";
export const DISK_NODE = `${DISK_ID}-format`;

const MEBIBYTE = 1024 * 1024;
const BOOT_TIMEOUT_MS = 180_000;
const POLL_MS = 100;

export interface MachineOptions {
  readonly id: string;
  readonly memoryMiB: number;
  readonly diskMiB: number;
  /** What the disk holds before the workload writes to it. */
  readonly baseMiB: number;
  readonly workload: GuestWorkload;
  /** A card on a TAP device that is in each site's namespace. */
  readonly network?: Omit<GuestNetwork, "namespace">;
}

/** Memory and disk at one moment, as files; the machine stood still while they were written. */
export interface Snapshot {
  readonly memoryPath: string;
  readonly diskPath: string;
}

/** One QEMU of a machine at one site. */
export interface MachineEnd {
  readonly site: Site;
  /** A monitor of the bench's own. */
  readonly qmp: QmpClient;
  /** Socket of a monitor that nobody uses yet. */
  readonly freeMonitorPath: string;
  readonly channel: GuestChannel;
  /** Ends it at once where it still runs. */
  end(): Promise<void>;
}

/**
 * A machine that travels: its QEMU where it runs, and the disk files that it leaves at either site.
 * Disposing ends every QEMU of it.
 */
export class Machine implements AsyncDisposable {
  #starts = 0;
  #here: MachineEnd | null = null;
  readonly #ends: MachineEnd[] = [];

  private constructor(private readonly arena: Arena, readonly options: MachineOptions) {}

  /** Boots it at `a` on a fresh disk; resolves when the workload runs. */
  static async boot(arena: Arena, options: MachineOptions): Promise<Machine> {
    const machine = new Machine(arena, options);
    try {
      await makeBaseDisk(machine.diskPath("a"), options.diskMiB, options.baseMiB);
      machine.#here = await machine.#start("a", false);
      await machine.#untilReady();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  get id(): string {
    return this.options.id;
  }

  /** Where it runs. */
  get here(): MachineEnd {
    if (this.#here === null) throw new Error(`${this.id} does not run`);
    return this.#here;
  }

  diskPath(site: SiteName): string {
    return `${this.arena.sites[site].directory}/${this.id}.raw`;
  }

  /** A QEMU that waits for it, on the disk file that is there from earlier, or an empty one. */
  async expectAt(site: SiteName): Promise<MachineEnd> {
    // One that is there is left alone: even its times tell whether anybody else has written to it.
    if (!await exists(this.diskPath(site))) {
      await createDisk(this.diskPath(site), "raw", this.options.diskMiB);
    }
    return await this.#start(site, true);
  }

  /** It runs at `end` now; the QEMU that it left is ended. */
  async arrivedAt(end: MachineEnd): Promise<void> {
    const left = this.here;
    this.#here = end;
    await left.end();
  }

  /** Keeps memory and disk in files; a machine that runs stands still for the second it takes. */
  async snapshot(label: string): Promise<Snapshot> {
    const { qmp, site } = this.here;
    const base = `${this.arena.directory}/${this.id}-${label}`;
    const snapshot = { memoryPath: `${base}.memory`, diskPath: `${base}.disk` };
    const { running } = await qmp.execute("query-status") as { running: boolean };
    if (running) await qmp.execute("stop");
    await qmp.execute("pmemsave", {
      val: 0,
      size: this.options.memoryMiB * MEBIBYTE,
      filename: snapshot.memoryPath,
    });
    const copy = ["--sparse=always", "--reflink=auto", this.diskPath(site.name)];
    const { success } = await new Deno.Command("cp", { args: [...copy, snapshot.diskPath] })
      .output();
    if (!success) throw new Error("The disk could not be copied");
    if (running) await qmp.execute("cont");
    return snapshot;
  }

  /** What the workload has done so far: files, blocks and hot pages that were rewritten. */
  async counts(): Promise<{ memory: number; disk: number; hot: number }> {
    const status = await this.here.channel.ask("status");
    const count = (name: string) => Number(new RegExp(` ${name}=(\\d+)`).exec(status)?.[1] ?? 0);
    return { memory: count("memory"), disk: count("disk"), hot: count("hot") };
  }

  /** Lets the workload go on until each part of it that runs has done so much. */
  async untilCounts(least: Partial<Awaited<ReturnType<Machine["counts"]>>>): Promise<void> {
    await until(`${this.id} worked`, async () => {
      const counts = await this.counts();
      return Object.entries(least).every(([name, count]) =>
        counts[name as keyof typeof counts] >= count
      );
    });
  }

  /** @throws {Error} when the machine finds a difference in its memory or disk */
  async verify(): Promise<string> {
    const answer = await this.here.channel.ask("verify", BOOT_TIMEOUT_MS);
    if (!answer.startsWith("verify ok ")) throw new Error(`${this.id}: ${answer}`);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end.end();
  }

  async #start(name: SiteName, incoming: boolean): Promise<MachineEnd> {
    const site = this.arena.sites[name];
    const base = `${site.directory}/${this.id}.${++this.#starts}`;
    const monitors = [`${base}.qmp`, `${base}.free`];
    const argv = guestArgv({
      image: await guestImage(),
      memoryMiB: this.options.memoryMiB,
      workload: this.options.workload,
      network: this.options.network,
      disks: [{ id: DISK_ID, path: this.diskPath(name), format: "raw" }],
      consolePath: this.#consolePath,
      channelPath: `${base}.channel`,
      extraArgs: [
        ...monitors.flatMap((path) => ["-qmp", `unix:${path},server=on,wait=off`]),
        ...(incoming ? ["-incoming", "defer", "-S"] : []),
      ],
    });
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", site.netns, ...argv],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    let running = true;
    const ended = child.status.then(() => running = false);
    const channel = new GuestChannel(`${base}.channel`);
    let qmp: QmpClient | null = null;
    const end = async () => {
      channel.close();
      qmp?.close();
      if (running) child.kill("SIGKILL");
      await ended;
    };
    try {
      await until(`QEMU at ${name}`, async () => {
        if (!running) throw new Error(`QEMU at ${name} ended at once`);
        return await exists(monitors[0]) && await exists(monitors[1]);
      });
      qmp = await connectQmp({ kind: "unix", path: monitors[0] }, { clock: systemClock() });
    } catch (error) {
      await end();
      throw error;
    }
    const made = { site, qmp, freeMonitorPath: monitors[1], channel, end };
    this.#ends.push(made);
    return made;
  }

  /** One for all its QEMUs: none writes to it but the one that runs. */
  get #consolePath(): string {
    return `${this.arena.directory}/${this.id}.console`;
  }

  async #untilReady(): Promise<void> {
    await until(`${this.id} booted`, async () => {
      const text = await Deno.readTextFile(this.#consolePath).catch(() => "");
      if (text.includes("Kernel panic")) throw new Error(text.slice(-2000));
      return text.includes("cw: ready ");
    });
  }
}

/** Looks again and again. @throws {Error} after three minutes */
export async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + BOOT_TIMEOUT_MS;
  while (!await isTrue()) {
    if (performance.now() > deadlineMs) throw new Error(`Not within time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
