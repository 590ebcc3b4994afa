const PATHS = ["/bin/busybox", "/usr/bin/busybox"] as const;

/** What the loader's path looks like in the head of a program that is not static. */
const LOADER = "/ld-linux";
const HEAD_BYTES = 4096;

/** Path of a busybox that runs without libraries, or null: the guest has none. */
export function findStaticBusybox(): string | null {
  return PATHS.find(isStatic) ?? null;
}

function isStatic(path: string): boolean {
  const head = new Uint8Array(HEAD_BYTES);
  try {
    using file = Deno.openSync(path);
    file.readSync(head);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  return !new TextDecoder("latin1").decode(head).includes(LOADER);
}
