/** A file system in memory, on every Linux. */
const IN_MEMORY = "/dev/shm";

/**
 * Folders in which parts of machines' memory lie unencrypted for some ms, while they are watched: in
 * memory or not at all, because on a disk nothing of a machine's memory lies unencrypted.
 */
export class ScratchFolders {
  /** @param stateDirectory one site's alone; folders are told apart by it */
  constructor(private readonly stateDirectory: string) {}

  /** Removes what a gateway of this site left behind that died meanwhile. */
  async clear(): Promise<void> {
    await Deno.remove(await this.#root(), { recursive: true }).catch(() => {});
  }

  /** A new folder, which goes with its contents; null where there is no place for one. */
  async open(): Promise<{ readonly path: string | null } & AsyncDisposable> {
    try {
      const root = await this.#root();
      await Deno.mkdir(root, { recursive: true, mode: 0o700 });
      const path = await Deno.makeTempDir({ dir: root });
      return {
        path,
        [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }).catch(() => {}),
      };
    } catch {
      return { path: null, [Symbol.asyncDispose]: () => Promise.resolve() };
    }
  }

  async #root(): Promise<string> {
    const name = new TextEncoder().encode(this.stateDirectory);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", name)).toHex();
    return `${IN_MEMORY}/causeway-${digest.slice(0, 16)}`;
  }
}
