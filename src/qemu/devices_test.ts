import assert from "node:assert/strict";
import { deviceLines } from "./devices.ts";

Deno.test("devices are compared by id, type and PCI address, built-in ones by their number", () => {
  const lines = deviceLines([
    { origin: "built-in", id: "device[3]", type: "smbus-eeprom", pciAddress: null },
    { origin: "built-in", id: "device[4]", type: "smbus-eeprom", pciAddress: null },
    { origin: "peripheral", id: "vd0", type: "virtio-blk-pci", pciAddress: 0x10 },
    { origin: "peripheral", id: "disk", type: "scsi-hd", pciAddress: null },
    {
      origin: "peripheral",
      id: "balloon0",
      type: "virtio-balloon-pci",
      pciAddress: 0x28,
      options: ["free-page-hint"],
    },
    { origin: "anonymous", id: "device[0]", type: "e1000", pciAddress: 0x1b },
  ]);
  assert.deepEqual(lines, [
    "balloon0 (virtio-balloon-pci at 05.0, free-page-hint)",
    "built-in smbus-eeprom x2",
    "disk (scsi-hd)",
    "unnamed e1000 at 03.3",
    "vd0 (virtio-blk-pci at 02.0)",
  ]);
});
