import assert from "node:assert/strict";
import { GUEST_MODULES, loadOrder, moduleDependencies } from "./kernel_modules.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("moduleDependencies() reads the names out of a module's information", () => {
  const cases: [string, string[]][] = [
    ["\x7fELF\0license=GPL\0depends=virtio,net_failover\0retpoline=Y\0", [
      "virtio",
      "net_failover",
    ]],
    ["\x7fELF\0license=GPL\0depends=\0retpoline=Y\0", []],
    ["\x7fELF\0softdepends=x\0", []],
  ];
  for (const [text, expected] of cases) assert.deepEqual(moduleDependencies(bytes(text)), expected);
});

Deno.test("loadOrder() puts every module after what it needs and leaves out built-in ones", () => {
  // As in Debian 12's kernel 6.1, with one more part taken as built in.
  const dependencies: Record<string, string[]> = {
    virtio_pci: ["virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_ring", "virtio"],
    virtio_blk: ["virtio", "virtio_ring", "part_built_in"],
    virtio_net: ["virtio", "virtio_ring", "net_failover"],
    virtio_ring: [],
    virtio: ["virtio_ring"],
    virtio_pci_modern_dev: [],
    virtio_pci_legacy_dev: [],
    net_failover: ["failover"],
    failover: [],
  };
  const order = loadOrder(GUEST_MODULES, (name) => dependencies[name] ?? null);

  assert.deepEqual([...order].sort(), Object.keys(dependencies).sort());
  for (const [name, before] of Object.entries(dependencies)) {
    for (const other of before.filter((other) => other in dependencies)) {
      assert.ok(order.indexOf(other) < order.indexOf(name), `${other} before ${name}`);
    }
  }
});
