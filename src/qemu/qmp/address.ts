import { GatewayError } from "../../core/errors.ts";

/** Where a monitor listens. */
export type QmpAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** Longest path that fits `sockaddr_un` (108 bytes with the closing NUL; unix(7)). */
export const UNIX_PATH_BYTES_MAX = 107;

/**
 * Reads `tcp:HOST:PORT`, `tcp:[IPV6]:PORT` or the path of a unix socket.
 *
 * @throws {GatewayError} `address_invalid`
 */
export function parseQmpAddress(text: string): QmpAddress {
  if (text.startsWith("tcp:")) {
    const match = /^tcp:(?:\[([^\]]+)\]|([^:\[\]]+)):(\d{1,5})$/.exec(text);
    const port = match ? Number(match[3]) : 0;
    if (!match || port < 1 || port > 65_535) {
      throw invalid(text, "it is not of the form tcp:HOST:PORT");
    }
    return { kind: "tcp", host: match[1] ?? match[2], port };
  }
  const path = text.startsWith("unix:") ? text.slice("unix:".length) : text;
  checkUnixPath(path);
  return { kind: "unix", path };
}

/**
 * The kernel cuts nothing off: a longer path cannot be bound or dialled at all.
 *
 * @throws {GatewayError} `address_invalid`
 */
export function checkUnixPath(path: string): void {
  const bytes = new TextEncoder().encode(path).length;
  if (bytes === 0) throw invalid(path, "the path is empty");
  if (bytes > UNIX_PATH_BYTES_MAX) {
    throw invalid(
      path,
      `a unix socket path has at most ${UNIX_PATH_BYTES_MAX} bytes, not ${bytes}`,
    );
  }
}

/** The form that messages and `argv` use. */
export function formatQmpAddress(address: QmpAddress): string {
  if (address.kind === "unix") return address.path;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `tcp:${host}:${address.port}`;
}

function invalid(text: string, reason: string): GatewayError {
  return new GatewayError("address_invalid", `Cannot use the address "${text}": ${reason}`, {
    hint: "Give the path of a unix socket, shortened if need be, or tcp:HOST:PORT",
  });
}
