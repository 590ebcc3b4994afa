import type { Finding } from "./guest.ts";

/**
 * Pure: whether a host has room for the memory of a machine that is to arrive. More than the host
 * has refuses the move; more than is free is a warning, because what the machine never touched takes
 * none, and the host can make room.
 *
 * @param neededBytes of the machine that is not taken on the host yet
 * @param host null where it is not known, or another one
 */
export function memoryFindings(
  neededBytes: number,
  host: { readonly availableBytes: number; readonly totalBytes: number } | null,
): Finding[] {
  if (host === null || neededBytes <= host.availableBytes) return [];
  const impossible = neededBytes > host.totalBytes;
  return [{
    severity: impossible ? "refusal" : "warning",
    code: "memory_too_little",
    message: impossible
      ? `Cannot move: the machine takes ${neededBytes} bytes of memory, this host has ` +
        `${host.totalBytes} with its swap`
      : `The machine takes up to ${neededBytes} bytes of memory, ${host.availableBytes} are ` +
        "available on this host",
    hint: "End something on the destination's host, or choose another one",
  }];
}
