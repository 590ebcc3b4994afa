import { commandOutput } from "../host/command_output.ts";

/**
 * The congestion control of a TCP connection of this process's network namespace, as `ss` tells it
 * (iproute2), for where the C library cannot be asked. Null where it cannot be told.
 */
export async function askCongestionControl(
  { localPort, remotePort }: { localPort?: number; remotePort?: number },
): Promise<string | null> {
  if (localPort === undefined || remotePort === undefined) return null;
  const filter = ["sport", "=", `:${localPort}`, "and", "dport", "=", `:${remotePort}`];
  try {
    return parseCongestionControl(await commandOutput("ss", ["-Htin", ...filter]) ?? "");
  } catch {
    return null; // no such program, or no leave to run it
  }
}

/** Its name in the output of `ss -ti`: the word before the window scale or the time-out. */
export function parseCongestionControl(text: string): string | null {
  return text.match(/(?:^|\s)([a-z][a-z0-9_-]*) (?:wscale:|rto:)/)?.[1] ?? null;
}
