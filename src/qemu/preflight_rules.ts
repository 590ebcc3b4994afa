import type { ErrorCode } from "../core/errors.ts";
import type { DiskDescription, Finding, GuestDescription } from "../guest/guest.ts";
import { BUILT_IN, FREE_PAGE_HINT } from "./devices.ts";
import { BITMAP_PREFIX, type Drive } from "./drives.ts";

/** Devices whose disks or state are outside of what QEMU's block layer and stream carry. */
const UNTRACKED_DEVICES = /\((scsi-block|scsi-generic|vhost-user-blk[^ )]*)/;

export function refusal(code: ErrorCode, message: string, hint: string): Finding {
  return { severity: "refusal", code, message, hint };
}

export function warning(code: ErrorCode, message: string, hint: string): Finding {
  return { severity: "warning", code, message, hint };
}

/** Pure: why `own` cannot continue as `counterpart`; empty when it can. */
export function compareMachines(own: GuestDescription, counterpart: GuestDescription): Finding[] {
  if (counterpart.kind !== own.kind) {
    return [refusal(
      "guest_kind_differs",
      `Cannot move: a ${own.kind} machine cannot arrive as a ${counterpart.kind} one`,
      "Register the guest at the destination with the same kind",
    )];
  }
  return [
    ...compareBasics(own, counterpart),
    ...compareDevices(own, counterpart),
    ...compareDisks(own.disks, counterpart.disks),
  ];
}

function compareBasics(own: GuestDescription, counterpart: GuestDescription): Finding[] {
  const findings: Finding[] = [];
  if (counterpart.runState !== "incoming") {
    findings.push(refusal(
      "guest_not_incoming",
      `Cannot move: the machine at the destination is ${counterpart.runState}, not incoming`,
      "Start it with -incoming defer, or register it again with role incoming",
    ));
  }
  if (own.machineType !== counterpart.machineType) {
    findings.push(refusal(
      "machine_type_differs",
      `Cannot move: machine type ${own.machineType} here, ${counterpart.machineType} there`,
      `Start the destination with -machine ${own.machineType}`,
    ));
  }
  if (own.memoryBytes !== counterpart.memoryBytes) {
    findings.push(refusal(
      "memory_size_differs",
      `Cannot move: ${own.memoryBytes} bytes of memory here, ${counterpart.memoryBytes} there`,
      `Start the destination with -m ${own.memoryBytes / 1024}k`,
    ));
  }
  return findings;
}

function compareDevices(own: GuestDescription, counterpart: GuestDescription): Finding[] {
  const findings: Finding[] = [];
  const missing = without(own.devices, counterpart.devices);
  const extra = without(counterpart.devices, own.devices);
  // Another version may build the same machine type of other parts: only what the operator chose,
  // and the processors, must be equal then.
  const strict = (line: string) =>
    own.version === counterpart.version || !line.startsWith(BUILT_IN) || /-cpu x/.test(line);
  for (const severity of ["refusal", "warning"] as const) {
    const wanted = (line: string) => strict(line) === (severity === "refusal");
    const parts = [
      ...missing.filter(wanted).map((line) => `${line} only here`),
      ...extra.filter(wanted).map((line) => `${line} only there`),
    ];
    if (parts.length === 0) continue;
    findings.push({
      severity,
      code: "device_ids_differ",
      message: `Cannot move: the devices differ: ${parts.join("; ")}`,
      hint: "Start the destination with the same devices, ids and PCI addresses",
    });
  }
  for (const line of own.devices) {
    const type = UNTRACKED_DEVICES.exec(line)?.[1];
    if (type === undefined) continue;
    findings.push(refusal(
      "bitmap_not_possible",
      `Cannot move: QEMU does not see what the guest writes through ${line}`,
      `Use a device of QEMU's own block layer, such as virtio-blk-pci, instead of ${type}`,
    ));
  }
  return findings;
}

function compareDisks(
  own: readonly DiskDescription[],
  counterpart: readonly DiskDescription[],
): Finding[] {
  const findings: Finding[] = [];
  const theirs = new Map(counterpart.map((disk) => [disk.id, disk]));
  for (const disk of own) {
    const other = theirs.get(disk.id);
    if (!other) {
      findings.push(refusal(
        "disk_missing",
        `Cannot move: the destination has no disk "${disk.id}"`,
        `Give the device the id "${disk.id}" at the destination; it has ${
          list([...theirs.keys()])
        }`,
      ));
    } else if (other.sizeBytes !== disk.sizeBytes) {
      findings.push(refusal(
        "disk_sizes_differ",
        `Cannot move: disk "${disk.id}" has ${disk.sizeBytes} bytes here, ${other.sizeBytes} there`,
        `Create the image at the destination with exactly ${disk.sizeBytes} bytes`,
      ));
    } else if (other.readOnly && !disk.readOnly) {
      findings.push(refusal(
        "read_only_media",
        `Cannot move: disk "${disk.id}" is writable here and read-only there`,
        "Open the image at the destination for writing",
      ));
    }
  }
  return findings;
}

/** Pure: what stays behind of each drive, or cannot travel at all. */
export function driveFindings(drives: readonly Drive[]): Finding[] {
  const findings: Finding[] = [];
  for (const { id, readOnly, snapshots, bitmaps, path } of drives) {
    if (readOnly) {
      findings.push(warning(
        "read_only_media",
        `The read-only disk "${id}"${path ? ` (${path})` : ""} is compared with the ` +
          "destination's; what differs is written there",
        "Eject it before the move if the machine does not need it",
      ));
    }
    if (snapshots.length > 0) {
      findings.push(warning(
        "internal_snapshots",
        `The snapshots ${list(snapshots)} inside the image of disk "${id}" stay behind`,
        "Copy the image while the machine is off if they are needed",
      ));
    }
    const foreign = bitmaps.flatMap(({ name }) =>
      name && !name.startsWith(BITMAP_PREFIX) ? [name] : []
    );
    if (foreign.length > 0) {
      findings.push(warning(
        "foreign_bitmaps",
        `The dirty bitmaps ${list(foreign)} of disk "${id}" stay behind`,
        "Plan a full backup at the destination: incremental ones cannot continue",
      ));
    }
  }
  return findings;
}

/** Pure: what a move that may hold back the disks cannot hold back. */
export function throttleFindings(drives: readonly Drive[]): Finding[] {
  return drives.filter(({ readOnly, throttle }) => !readOnly && throttle === null).map(({ id }) =>
    warning(
      "throttle_not_possible",
      `What the machine writes to "${id}" cannot be held back: it is part of the board`,
      "Nothing has to be done while little is written there",
    )
  );
}

/** Pure: what of the machine leaves out free pages, for a move that wants them to travel. */
export function freePageFindings(devices: readonly string[]): Finding[] {
  return devices.filter((line) => line.includes(FREE_PAGE_HINT)).map((line) =>
    warning(
      "free_pages_left_out",
      `Pages that the guest calls free do not travel: QEMU has no switch for what ${line} hints`,
      `Start both machines with ${FREE_PAGE_HINT}=off to see what a move without it costs`,
    )
  );
}

/** Lines of `all` that `others` lacks; each line counts as often as it occurs. */
function without(all: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return all.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map((name) => `"${name}"`).join(", ");
}
