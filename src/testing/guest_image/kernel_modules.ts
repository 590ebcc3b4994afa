/** What the guest needs beyond the kernel image: its devices. */
export const GUEST_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon"] as const;

/**
 * The names that a module lists as needed before it, from the "depends=" entry of its .modinfo
 * section (NUL-separated text). Read there because modules.dep does not exist in an unpacked
 * package: depmod writes it on installation.
 */
export function moduleDependencies(module: Uint8Array): string[] {
  const text = new TextDecoder("latin1").decode(module);
  const start = text.indexOf("\0depends=");
  if (start < 0) return [];
  const from = start + "\0depends=".length;
  return text.slice(from, text.indexOf("\0", from)).split(",").filter((name) => name !== "");
}

/**
 * Names in an order in which they can be loaded: each after what it depends on.
 *
 * @param dependenciesOf for a module that is built into the kernel: `null`, it is left out
 */
export function loadOrder(
  wanted: readonly string[],
  dependenciesOf: (name: string) => readonly string[] | null,
): string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    const dependencies = dependenciesOf(name);
    if (dependencies === null) return;
    dependencies.forEach(visit);
    order.push(name);
  };
  wanted.forEach(visit);
  return order;
}
