import { commandOutput } from "../../host/command_output.ts";

/** A file system in memory, on every Linux. */
const IN_MEMORY = "/dev/shm";

/**
 * Folders in which parts of machines' memory lie unencrypted for some ms, while they are watched: in
 * memory or not at all, because on a disk nothing of a machine's memory lies unencrypted. Child
 * processes do it: the runtime gives nothing below /dev to who has not all rights.
 */
export class ScratchFolders {
  /** @param stateDirectory one site's alone; folders are told apart by it */
  constructor(private readonly stateDirectory: string) {}

  /** Removes what a gateway of this site left behind that died meanwhile. */
  async clear(): Promise<void> {
    await quietly("rm", ["-rf", await this.#root()]);
  }

  /** A new folder, which goes with its contents; null where there is no place for one. */
  async open(): Promise<Scratch> {
    const root = await this.#root();
    const script = 'umask 077 && mkdir -p "$1" && mktemp -d "$1/XXXXXXXX"';
    const path = (await quietly("sh", ["-c", script, "sh", root]))?.trim() || null;
    return {
      path,
      async [Symbol.asyncDispose]() {
        if (path !== null) await quietly("rm", ["-rf", path]);
        // Where another plan has a folder in it, it stays for that.
        await quietly("rmdir", [root]);
      },
    };
  }

  async #root(): Promise<string> {
    const name = new TextEncoder().encode(this.stateDirectory);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", name)).toHex();
    return `${IN_MEMORY}/causeway-${digest.slice(0, 16)}`;
  }
}

/** One folder, until it is disposed of. */
export interface Scratch extends AsyncDisposable {
  readonly path: string | null;
}

function quietly(command: string, args: string[]): Promise<string | null> {
  return commandOutput(command, args).catch(() => null);
}
