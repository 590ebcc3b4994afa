import type { GuestDefinition } from "../../src/guest/definition.ts";

const MIB = 2 ** 20;
/** What common contents of the reference machine take on the wire. */
const WIRE_RATIO = 0.4;
/** A move takes about so long, whatever the path. */
const COPY_SECONDS = 12;
/** As much memory as one gateway reads and packs in that time, and as little as makes a machine. */
const MEMORY_MIB_MAX = 192;
const MEMORY_MIB_MIN = 12;
const DISK_SHARE = 0.2;

/** How much a machine writes, as shares of what its path carries. */
export interface Load {
  readonly name: string;
  readonly memoryShare: number;
  readonly diskShare: number;
  /** Of its memory. */
  readonly hotShare: number;
}

export const LOADS: readonly Load[] = [
  { name: "light", memoryShare: 0.05, diskShare: 0.01, hotShare: 0.05 },
  { name: "medium", memoryShare: 0.4, diskShare: 0.1, hotShare: 0.1 },
  { name: "heavy", memoryShare: 0.8, diskShare: 0.15, hotShare: 0.1 },
];

/** Shares of its rate that a path's machine is made for, by profile. */
export const PROFILES = [
  "congested-dsl",
  "transatlantic",
  "lossy-intercontinental",
  "geo-satellite",
];

/** A machine whose copy takes about as long on this path as another one's on its own. */
export function machineFor(
  rateBytesPerSecond: number,
  load: Load,
  seed: number,
  scale: number,
): Extract<GuestDefinition, { kind: "reference" }> {
  const copiedMiB = rateBytesPerSecond * COPY_SECONDS * scale / WIRE_RATIO / MIB;
  const memoryMiB = Math.round(
    Math.min(MEMORY_MIB_MAX, Math.max(MEMORY_MIB_MIN, copiedMiB * (1 - DISK_SHARE))),
  );
  return {
    kind: "reference",
    role: "source",
    memoryMiB,
    disks: [{ sizeMiB: Math.max(4, Math.round(memoryMiB * DISK_SHARE)) }],
    workload: {
      seed,
      hotMiB: Math.max(1, Math.round(memoryMiB * load.hotShare)),
      coldRatio: 0.05,
      memoryBytesPerSecond: Math.round(rateBytesPerSecond * load.memoryShare),
      diskBytesPerSecond: Math.round(rateBytesPerSecond * load.diskShare),
      silentRatio: 0.2,
      textRatio: 0.4,
      randomRatio: 0.2,
      freeMiB: 0,
    },
  };
}
