import { addressText, type NbdAddress } from "./address.ts";
import { GatewayError } from "../core/errors.ts";
import type { NbdBackend } from "./backend.ts";
import { TRANSMISSION } from "./protocol/constants.ts";
import { DEFAULT_BLOCK_SIZES } from "./protocol/handshake.ts";
import type { ServedExport } from "./protocol/server_handshake.ts";
import { ServerConnection } from "./server_connection.ts";

/** Clients at the same time; further ones are turned away. */
const MAX_CONNECTIONS = 64;

export interface NbdServerOptions {
  /** Port 0 picks a free one. */
  readonly address: NbdAddress;
  /** Block stores by export name. */
  readonly exports: Readonly<Record<string, NbdBackend>>;
  /** Sends zero parts of a read as hole chunks, which costs a `status` call per read. */
  readonly sparseReads?: boolean;
}

export interface NbdServer {
  /** Where it really listens. */
  readonly address: NbdAddress;
  /** Cuts all clients, as a server does that is killed; open requests stay unanswered. */
  disconnectAll(): void;
  /** Stops listening, cuts all clients, waits until no request is worked on, removes the socket. */
  close(): Promise<void>;
}

/**
 * Offers block stores over NBD: fixed newstyle, structured replies, `base:allocation`.
 *
 * Requests of one client are worked on side by side, up to 16, and answered as they finish. Anyone
 * who reaches the address has full access: use a unix socket or loopback.
 *
 * @throws {GatewayError} `nbd_disconnected` when it cannot listen there
 */
export function serveNbd(options: NbdServerOptions): NbdServer {
  const listener = listen(options.address);
  const served = Object.entries(options.exports).map(([name, backend]) => describe(name, backend));
  const connections = new Map<ServerConnection, Promise<void>>();
  const connectionOptions = {
    exports: served,
    backendOf: ({ name }: ServedExport) => options.exports[name],
    sparseReads: options.sparseReads ?? false,
  };

  const accepting = (async () => {
    for (;;) {
      const conn = await listener.accept().catch(() => null);
      if (conn === null) return;
      if (connections.size >= MAX_CONNECTIONS) {
        conn.close();
        continue;
      }
      if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
      const connection = new ServerConnection(conn, connectionOptions);
      connections.set(
        connection,
        connection.serve().finally(() => connections.delete(connection)),
      );
    }
  })();

  const disconnectAll = () => {
    for (const connection of connections.keys()) connection.close();
  };
  return {
    address: addressOf(listener, options.address),
    disconnectAll,
    async close() {
      listener.close();
      await accepting;
      disconnectAll();
      await Promise.all(connections.values());
      if (options.address.kind === "unix") await Deno.remove(options.address.path).catch(() => {});
    },
  };
}

function describe(name: string, backend: NbdBackend): ServedExport {
  const { flush, fua, writeZeroes, multiConn, readOnly } = TRANSMISSION;
  const flags = flush | fua | writeZeroes | multiConn | (backend.readOnly ? readOnly : 0);
  return {
    name,
    sizeBytes: backend.sizeBytes,
    flags,
    blockSizes: DEFAULT_BLOCK_SIZES,
    hasAllocation: backend.status !== undefined,
  };
}

function listen(address: NbdAddress): Deno.Listener {
  try {
    return address.kind === "unix"
      ? Deno.listen({ transport: "unix", path: address.path })
      : Deno.listen({ hostname: address.hostname, port: address.port });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError(
      "nbd_disconnected",
      `Cannot serve NBD at ${addressText(address)}: ${reason}`,
      { hint: "Choose another port or remove the socket that a dead process left", cause },
    );
  }
}

function addressOf(listener: Deno.Listener, asked: NbdAddress): NbdAddress {
  if (asked.kind === "unix") return asked;
  return { ...asked, port: (listener.addr as Deno.NetAddr).port };
}
