import { commandOutput } from "./command_output.ts";

/**
 * Memory of this host that programs can still have without swapping, in bytes; null where it does
 * not say. Read by a child process: the runtime gives /proc to nobody who has not all rights.
 */
export async function availableMemoryBytes(): Promise<number | null> {
  try {
    const text = await commandOutput("cat", ["/proc/meminfo"]);
    const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text ?? "")?.[1];
    return kibibytes === undefined ? null : Number(kibibytes) * 1024;
  } catch {
    return null;
  }
}
