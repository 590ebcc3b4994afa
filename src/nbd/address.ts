import { GatewayError } from "../core/errors.ts";

/** Where an NBD server is, or listens. */
export type NbdAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number };

/** `unix:/path` or `tcp:host:port`, for messages. */
export function addressText(address: NbdAddress): string {
  return address.kind === "unix"
    ? `unix:${address.path}`
    : `tcp:${address.hostname}:${address.port}`;
}

/** @throws {GatewayError} `nbd_disconnected` when nobody answers there */
export async function dial(address: NbdAddress): Promise<Deno.Conn> {
  try {
    if (address.kind === "unix") {
      return await Deno.connect({ transport: "unix", path: address.path });
    }
    const conn = await Deno.connect({ hostname: address.hostname, port: address.port });
    // Requests are small and waited for: Nagle's algorithm would add a delayed acknowledgement.
    conn.setNoDelay(true);
    return conn;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError(
      "nbd_disconnected",
      `Cannot reach the NBD server at ${addressText(address)}: ${reason}`,
      { hint: "Check that the server runs and that the address is its own", cause },
    );
  }
}
