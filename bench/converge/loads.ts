import type { GuestWorkload } from "../../src/testing/guest_image/guest_argv.ts";
import type { QemuSettingName } from "../bytes/qemu_alone.ts";

/** What the machine does, and who has to cope with it. */
export interface Load {
  readonly name: string;
  readonly workload: GuestWorkload;
  /** A command of the guest's shell that writes until `CALM`, as fast as its processor lets it. */
  readonly storm: string;
  readonly contestants: readonly Contestant[];
}

/** One way to move the machine. */
export type Contestant =
  | { readonly name: string; readonly qemu: QemuSettingName }
  | {
    readonly name: string;
    /** Options of the move, `whenOver` above all. */
    readonly options: { readonly whenOver: readonly string[] };
    /** Whether an operator says yes to a larger budget. */
    readonly accepts?: boolean;
  };

/** Ends the storm. */
export const CALM = "touch /run/cw/calm";

/** Something that verifies itself after the move, beside the storm. */
const QUIET: GuestWorkload = { memoryMiB: 8, memoryKiBPerSecond: 64, diskKiBPerSecond: 0 };
const STEP_KIB = 512;
const STEPS = { memory: 32, disk: 64 };

/**
 * One step after the other over a file or device, round and round: random bytes that begin one page
 * and three bytes later each time, so that nothing can be left out, packed or taken from elsewhere.
 * A checksum in each step makes it the processor's work: who slows that slows the writes.
 */
function stormOn(target: string, steps: number, flags: string): string {
  const blocks = STEP_KIB / 64;
  return "n=0; while [ ! -e /run/cw/calm ]; do n=$((n + 1)); " +
    `dd if=/pool/random of=${target} bs=64k iflag=skip_bytes,fullblock ${flags} ` +
    `skip=$((n * 4099 % 1048576)) count=${blocks} seek=$((n % ${steps} * ${blocks})) ` +
    "conv=notrunc 2>/dev/null; head -c 131072 /pool/text | md5sum; echo $n >/run/cw/storm.count; done";
}

const QEMU = (
  ["qemu-plain", "qemu-multifd-zstd", "qemu-xbzrle", "qemu-auto-converge"] as const
).map((qemu) => ({ name: qemu, qemu }));

/** Loads that the link does not carry. */
export const LOADS: readonly Load[] = [
  {
    name: "memory",
    workload: QUIET,
    storm: stormOn("/hot/storm", STEPS.memory, ""),
    contestants: [
      ...QEMU,
      {
        name: "causeway, throttleCpu",
        options: { whenOver: ["throttleCpu", "giveUp"] },
      },
      { name: "causeway, ask", options: { whenOver: ["ask", "wait"] }, accepts: true },
      { name: "causeway, giveUp", options: { whenOver: ["giveUp"] } },
    ],
  },
  {
    name: "disk",
    workload: QUIET,
    storm: stormOn("/dev/vda", STEPS.disk, "oflag=direct"),
    contestants: [
      QEMU[0],
      {
        name: "causeway, throttleDisks",
        options: { whenOver: ["throttleDisks", "giveUp"] },
      },
    ],
  },
];

/** Bytes of the guest that one count of the storm stands for. */
export const STORM_STEP_BYTES = STEP_KIB * 1024;
