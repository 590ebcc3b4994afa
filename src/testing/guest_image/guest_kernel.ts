/** A kernel for the test guest with the modules that belong to it. */
export interface GuestKernel {
  readonly release: string;
  /** Path of the bzImage. */
  readonly image: string;
  /** Module name (with `_`) to the path of its file, which may be compressed. */
  readonly modules: ReadonlyMap<string, string>;
}

/** Where tests/setup/debian.sh unpacks the kernel package, and where an installed one lies. */
const KERNEL_ROOTS = ["/var/cache/causeway/kernel/", "/"] as const;
const IMAGE_NAME = /^vmlinuz-(.+-cloud-amd64)$/;
const MODULE_FILE = /^(.+)\.ko(?:\.xz|\.zst|\.gz)?$/;

/** The newest cloud kernel of the first root that has one, or `null`. */
export function findGuestKernel(roots: readonly string[] = KERNEL_ROOTS): GuestKernel | null {
  for (const root of roots) {
    const releases = list(`${root}boot`)
      .map((entry) => IMAGE_NAME.exec(entry.name)?.[1])
      .filter((release) => release !== undefined)
      .sort((left, right) => right.localeCompare(left, "en", { numeric: true }));
    for (const release of releases) {
      const modules = new Map<string, string>();
      for (const prefix of ["", "usr/"]) {
        collectModules(`${root}${prefix}lib/modules/${release}/kernel`, modules);
      }
      if (modules.size > 0) return { release, image: `${root}boot/vmlinuz-${release}`, modules };
    }
  }
  return null;
}

function collectModules(folder: string, modules: Map<string, string>): void {
  for (const entry of list(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) collectModules(path, modules);
    const name = MODULE_FILE.exec(entry.name)?.[1];
    if (name !== undefined) modules.set(name.replaceAll("-", "_"), path);
  }
}

function list(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
