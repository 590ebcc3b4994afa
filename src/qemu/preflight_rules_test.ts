import assert from "node:assert/strict";
import { ERRORS } from "../core/error_codes.ts";
import type { DiskDescription, GuestDescription } from "../guest/guest.ts";
import { ioLimits } from "./answers.ts";
import type { Drive } from "./drives.ts";
import {
  compareMachines,
  driveFindings,
  freePageFindings,
  throttleFindings,
} from "./preflight_rules.ts";

const MIB = 1024 * 1024;
const disk: DiskDescription = {
  id: "vd0",
  sizeBytes: 64 * MIB,
  allocatedBytes: null,
  format: "raw",
  readOnly: false,
  path: "/images/vd0",
};
const here: GuestDescription = {
  kind: "qemu",
  version: "10.0.2",
  cpuModel: null,
  machineType: "pc-i440fx-10.0",
  memoryBytes: 256 * MIB,
  runState: "running",
  disks: [disk],
  devices: ["built-in hpet x1", "built-in qemu64-x86_64-cpu x2", "vd0 (virtio-blk-pci at 02.0)"],
  canHoldSwitchover: true,
};
const there: GuestDescription = { ...here, runState: "incoming" };

Deno.test("two equal machines have no findings; format and path are each site's own", () => {
  const other = { ...disk, format: "qcow2", path: "/elsewhere" };
  assert.deepEqual(compareMachines(here, { ...there, disks: [other] }), []);
});

for (
  const [name, counterpart, codes, said] of [
    ["another kind", { kind: "reference" }, ["guest_kind_differs"], "reference"],
    ["a machine that runs", { runState: "running" }, ["guest_not_incoming"], "-incoming defer"],
    ["another machine type", { machineType: "q35" }, ["machine_type_differs"], "q35"],
    ["other memory", { memoryBytes: MIB }, ["memory_size_differs"], "-m 262144k"],
    ["no such disk", { disks: [] }, ["disk_missing"], "vd0"],
    [
      "a smaller disk",
      { disks: [{ ...disk, sizeBytes: MIB }] },
      ["disk_sizes_differ"],
      `${64 * MIB}`,
    ],
    [
      "a read-only disk",
      { disks: [{ ...disk, readOnly: true }] },
      ["read_only_media"],
      "for writing",
    ],
    [
      "another PCI address",
      { devices: [...here.devices.slice(0, 2), "vd0 (virtio-blk-pci at 03.0)"] },
      ["device_ids_differ"],
      "vd0 (virtio-blk-pci at 02.0) only here",
    ],
    [
      "fewer processors, even in another version",
      { version: "7.2.22", devices: ["built-in hpet x1", here.devices[2]] },
      ["device_ids_differ"],
      "qemu64-x86_64-cpu x2 only here",
    ],
  ] as const
) {
  Deno.test(`${name} at the destination is refused, naming cause and way out`, () => {
    const findings = compareMachines(here, { ...there, ...counterpart } as GuestDescription);
    assert.deepEqual(findings.map(({ code }) => code), codes);
    assert.equal(findings[0].severity, "refusal");
    assert.ok(`${findings[0].message} ${findings[0].hint}`.includes(said), findings[0].message);
    assert.ok(Object.hasOwn(ERRORS, findings[0].code));
  });
}

Deno.test("built-in parts may differ between two versions, with a warning", () => {
  const findings = compareMachines(here, {
    ...there,
    version: "7.2.22",
    devices: here.devices.slice(1),
  });
  assert.deepEqual(findings.map(({ severity }) => severity), ["warning"]);
});

Deno.test("a balloon that hints free pages at one site only is refused", () => {
  const balloon = (options: string) => ({
    devices: [`balloon0 (virtio-balloon-pci at 05.0${options})`, ...here.devices],
  });
  const [hints, plain] = [balloon(", free-page-hint"), balloon("")];
  for (const [own, other] of [[hints, plain], [plain, hints]]) {
    const findings = compareMachines({ ...here, ...own }, { ...there, ...other });
    assert.deepEqual(findings.map(({ code }) => code), ["device_ids_differ"]);
    assert.ok(findings[0].message.includes("free-page-hint"), findings[0].message);
  }
});

Deno.test("a move that wants free pages to travel is told which device leaves them out", () => {
  const [finding, ...more] = freePageFindings([
    "balloon0 (virtio-balloon-pci at 05.0, free-page-hint)",
    "unnamed virtio-balloon-pci at 06.0",
  ]);
  assert.deepEqual(more, []);
  assert.deepEqual([finding.severity, finding.code], ["warning", "free_pages_left_out"]);
  assert.ok(finding.message.includes("balloon0"));
});

Deno.test("disks that bypass the block layer are refused", () => {
  const devices = [...here.devices, "s0 (scsi-block)"].sort();
  const findings = compareMachines({ ...here, devices }, { ...there, devices });
  assert.deepEqual(findings.map(({ code }) => code), ["bitmap_not_possible"]);
});

Deno.test("what stays behind is a warning; the driver's own bitmaps are not", () => {
  const bitmap = { count: 0, granularity: 65_536 };
  const drive: Drive = {
    ...disk,
    nodeName: "n",
    snapshots: ["before"],
    bitmaps: [{ ...bitmap, name: "backup" }, { ...bitmap, name: "causeway-return" }],
    throttle: null,
  };
  const findings = driveFindings([drive, { ...drive, readOnly: true, snapshots: [], bitmaps: [] }]);
  assert.deepEqual(
    findings.map(({ severity, code }) => `${severity} ${code}`),
    ["warning internal_snapshots", "warning foreign_bitmaps", "warning read_only_media"],
  );
  assert.ok(!findings[1].message.includes("causeway-return"));
});

Deno.test("only writable disks that QEMU cannot limit are named as such", () => {
  const flash = { ...drive("system.flash0"), throttle: null };
  const findings = throttleFindings([drive("vd0"), flash, { ...flash, readOnly: true }]);
  assert.deepEqual(findings.map(({ severity, code }) => `${severity} ${code}`), [
    "warning throttle_not_possible",
  ]);
  assert.match(findings[0].message, /"system.flash0"/);
});

function drive(id: string): Drive {
  const throttle = { handle: { id }, limits: ioLimits.parse({}) };
  return { ...disk, id, nodeName: id, snapshots: [], bitmaps: [], throttle };
}
