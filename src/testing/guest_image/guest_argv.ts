import type { GuestImage } from "./build.ts";

/** What the guest does; every member has a default in guest/settings.sh. */
export interface GuestWorkload {
  /** Size of the files that are rewritten in memory; default 32. */
  readonly memoryMiB?: number;
  /** Rewriting rate; 0 leaves the files as first written; default 4096. */
  readonly memoryKiBPerSecond?: number;
  /** Size of one file, the unit of rewriting; at most 1024, the default. */
  readonly memoryFileKiB?: number;
  /**
   * Size of the hot pages, each of which is rewritten in a few words only; a third of the rewritings
   * stores what is there already. Default 0, for none.
   */
  readonly hotMiB?: number;
  /** Rewriting rate in whole pages; default 4096. */
  readonly hotKiBPerSecond?: number;
  /** Write rate over all disks together; 0 for none; default 500. */
  readonly diskKiBPerSecond?: number;
  /** Size of one write; a power of two from 4 to 1024; default 128. */
  readonly diskBlockKiB?: number;
  /** Chooses places and contents; default 1. */
  readonly seed?: number;
  /** Linux names ("vda") in the order of the disks; default all. */
  readonly disks?: readonly string[];
}

/** An image file that the guest has as a virtio disk. */
export interface GuestDisk {
  /** The id of the device; the nodes below it are called ID-format and ID-file. */
  readonly id: string;
  readonly path: string;
  readonly format: "raw" | "qcow2";
}

/** A virtio network card on an existing TAP device. */
export interface GuestNetwork {
  readonly tap: string;
  readonly mac: string;
  /** Namespace that QEMU has to run in because the TAP device is there. */
  readonly namespace?: string;
  /** Addresses with prefix length, such as "10.0.0.2/24" and "fd00::2/64". */
  readonly ip?: string;
  readonly ip6?: string;
  readonly gateway?: string;
}

/** Everything that the command line of a test guest depends on. */
export interface GuestArgvOptions {
  readonly image: GuestImage;
  /** Fractions are kept to the KiB; default 256. */
  readonly memoryMiB?: number;
  readonly disks?: readonly GuestDisk[];
  readonly network?: GuestNetwork;
  readonly workload?: GuestWorkload;
  /** File that the kernel's console is appended to ("cw: synced vda 12"). */
  readonly consolePath: string;
  /** Unix socket of the command channel; see `GuestChannel`. */
  readonly channelPath: string;
  /** Further arguments of the kernel, such as "init_on_alloc=0". */
  readonly kernelArguments?: readonly string[];
  /** Default "pc". */
  readonly machine?: string;
  readonly extraArgs?: readonly string[];
}

/**
 * The command line of one test guest, without monitor and `-incoming`: what a gateway's launch
 * template takes. Source and destination may differ in paths and TAP only.
 */
export function guestArgv(options: GuestArgvOptions): string[] {
  const memoryKiB = Math.round((options.memoryMiB ?? 256) * 1024);
  return [
    ...inNamespace(options.network?.namespace),
    "qemu-system-x86_64",
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-machine", `${options.machine ?? "pc"},accel=tcg`, "-m", `${memoryKiB}k`],
    ...["-chardev", `file,id=console,append=on,path=${escapeCommas(options.consolePath)}`],
    ...["-device", "isa-serial,index=0,chardev=console"],
    ...[
      "-chardev",
      `socket,id=channel,server=on,wait=off,path=${escapeCommas(options.channelPath)}`,
    ],
    ...["-device", "isa-serial,index=1,chardev=channel"],
    ...["-kernel", options.image.kernel, "-initrd", options.image.initrd],
    ...["-append", kernelArguments(options)],
    ...(options.disks ?? []).flatMap(diskArguments),
    ...networkArguments(options.network),
    ...(options.extraArgs ?? []),
  ];
}

function inNamespace(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ["ip", "netns", "exec", namespace];
}

function diskArguments(disk: GuestDisk): string[] {
  const fileNode = `${disk.id}-file`;
  const formatNode = `${disk.id}-format`;
  return [
    "-blockdev",
    JSON.stringify({ driver: "file", "node-name": fileNode, filename: disk.path }),
    "-blockdev",
    JSON.stringify({ driver: disk.format, "node-name": formatNode, file: fileNode }),
    "-device",
    `virtio-blk-pci,id=${disk.id},drive=${formatNode}`,
  ];
}

function networkArguments(network: GuestNetwork | undefined): string[] {
  if (network === undefined) return [];
  return [
    "-netdev",
    `tap,id=net0,ifname=${network.tap},script=no,downscript=no`,
    "-device",
    // No boot ROM: nothing boots from this card, and it would be another megabyte to move.
    `virtio-net-pci,id=nic0,netdev=net0,mac=${network.mac},romfile=`,
  ];
}

function kernelArguments(options: GuestArgvOptions): string {
  const { network, workload } = options;
  const words = ["console=ttyS0", "quiet", "panic=-1", `cw.workload=${workloadText(workload)}`];
  words.push(...options.kernelArguments ?? []);
  if (network?.ip !== undefined) words.push(`cw.ip=${network.ip}`);
  if (network?.ip6 !== undefined) words.push(`cw.ip6=${network.ip6}`);
  if (network?.gateway !== undefined) words.push(`cw.gateway=${network.gateway}`);
  return words.join(" ");
}

/** The form of guest/settings.sh; throws RangeError for a value that the guest cannot work with. */
export function workloadText(workload: GuestWorkload = {}): string {
  const fileKiB = workload.memoryFileKiB ?? 1024;
  if (!(fileKiB >= 1 && fileKiB <= 1024)) throw new RangeError(`memoryFileKiB is ${fileKiB}`);
  const blockKiB = workload.diskBlockKiB ?? 128;
  if (!(blockKiB >= 4 && blockKiB <= 1024 && Number.isInteger(Math.log2(blockKiB)))) {
    throw new RangeError(`diskBlockKiB is ${blockKiB}, not a power of two from 4 to 1024`);
  }
  const settings: [string, number | undefined][] = [
    ["memory", workload.memoryMiB],
    ["memory-rate", workload.memoryKiBPerSecond],
    ["memory-file", workload.memoryFileKiB],
    ["hot", workload.hotMiB],
    ["hot-rate", workload.hotKiBPerSecond],
    ["disk-rate", workload.diskKiBPerSecond],
    ["disk-block", workload.diskBlockKiB],
    ["seed", workload.seed],
  ];
  const words = settings.flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} is ${value}`);
    return [`${name}=${value}`];
  });
  if (workload.disks !== undefined) words.push(`disks=${workload.disks.join(":")}`);
  return words.join(",");
}

/** QEMU splits option values at commas; a doubled one stands for itself. */
function escapeCommas(path: string): string {
  return path.replaceAll(",", ",,");
}
