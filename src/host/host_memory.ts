import { commandOutput } from "./command_output.ts";

/** Memory of this host, in bytes. */
export interface HostMemory {
  /** What new processes can take without swapping. */
  readonly availableBytes: number;
  /** All of it, swap included: more can never be held at once. */
  readonly totalBytes: number;
}

/** Null where the host does not tell. Through a child process, as `src/qemu/host_process.ts`. */
export async function hostMemory(): Promise<HostMemory | null> {
  return parseMemoryInfo(await commandOutput("cat", ["/proc/meminfo"]).catch(() => null) ?? "");
}

/** Pure: the text of `/proc/meminfo`. */
export function parseMemoryInfo(text: string): HostMemory | null {
  const bytesOf = (name: string) => {
    const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text) ?? [];
    return kib === undefined ? null : Number(kib) * 1024;
  };
  const [available, total] = [bytesOf("MemAvailable"), bytesOf("MemTotal")];
  if (available === null || total === null) return null;
  return { availableBytes: available, totalBytes: total + (bytesOf("SwapTotal") ?? 0) };
}
