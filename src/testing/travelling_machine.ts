import type { GuestDefinition } from "../guest/definition.ts";
import { guestImage } from "./guest_image/build.ts";
import { guestArgv, type GuestNetwork, type GuestWorkload } from "./guest_image/guest_argv.ts";
import { GuestChannel } from "./guest_image/guest_channel.ts";
import type { RealSite } from "./real_sites.ts";
import type { StretchedLan } from "./stretched_lan.ts";
import { MACHINE_ADDRESS, PREFIX_LENGTH, TAP } from "./stretched_lan.ts";

const BOOT_TIMEOUT_MS = 90_000;
const MAC = "52:54:00:79:00:02";
/** The id of the disk's device at both sites. */
export const DISK_ID = "root";

export interface MachineSize {
  readonly memoryMiB: number;
  readonly diskMiB: number;
  readonly workload: GuestWorkload;
}

/** One end of a travelling machine: what is registered at a site, and how to talk to it there. */
export interface MachineEnd extends Disposable {
  readonly definition: GuestDefinition;
  readonly diskPath: string;
  readonly channel: GuestChannel;
  console(): Promise<string>;
  /** Resolves when the machine has booted here and its workload runs. */
  waitReady(): Promise<void>;
}

/** The machine as `launch` at one site: the same command line but for paths and namespace. */
export async function machineEnd(
  site: RealSite,
  role: "source" | "incoming",
  size: MachineSize,
  namespace: StretchedLan["client"] | null,
): Promise<MachineEnd> {
  const base = `${site.directory}/vm`;
  const consolePath = `${base}.console`;
  const diskPath = `${base}.raw`;
  const network: GuestNetwork | undefined = namespace
    ? { tap: TAP, mac: MAC, namespace: namespace.name, ip: `${MACHINE_ADDRESS}/${PREFIX_LENGTH}` }
    : undefined;
  const argv = guestArgv({
    image: await guestImage(),
    memoryMiB: size.memoryMiB,
    workload: size.workload,
    disks: [{ id: DISK_ID, path: diskPath, format: "raw" }],
    network,
    consolePath,
    channelPath: `${base}.channel`,
  });
  const channel = new GuestChannel(`${base}.channel`);
  const console = () => Deno.readTextFile(consolePath).catch(() => "");
  return {
    definition: {
      kind: "qemu",
      role,
      launch: {
        argv,
        disks: [{ id: DISK_ID, path: diskPath, format: "raw", sizeMiB: size.diskMiB }],
      },
    },
    diskPath,
    channel,
    console,
    async waitReady() {
      const deadlineMs = performance.now() + BOOT_TIMEOUT_MS;
      for (;;) {
        const text = await console();
        if (text.includes("cw: ready ")) return void await channel.ask("ping");
        if (text.includes("Kernel panic") || performance.now() > deadlineMs) {
          throw new Error(`The machine did not boot: ${text.slice(-2000)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    [Symbol.dispose]: () => channel.close(),
  };
}
