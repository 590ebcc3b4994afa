import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import { withDeadline } from "../qmp/deadline.ts";
import { checkUnixPath } from "../qmp/address.ts";

/** QEMU connects right after `migrate`; longer means that it cannot reach us. */
const ACCEPT_TIMEOUT_MS = 10_000;

/** Where the gateway waits for QEMU's memory stream. */
export interface StreamListener {
  /** The form that QEMU's `migrate` takes. */
  readonly uri: string;
  readonly listener: Deno.Listener;
  close(): void;
}

/** Listens for one stream: on a unix socket, or on `host` where QEMU is on another one. */
export function listenForStream(path: string, host: string | null): StreamListener {
  let closed = false;
  let listener: Deno.Listener;
  let uri: string;
  if (host === null) {
    checkUnixPath(path);
    listener = Deno.listen({ transport: "unix", path });
    uri = `unix:${path}`;
  } else {
    const tcp = Deno.listen({ hostname: host, port: 0 });
    listener = tcp;
    uri = `tcp:${host.includes(":") ? `[${host}]` : host}:${tcp.addr.port}`;
  }
  return {
    uri,
    listener,
    close() {
      if (closed) return;
      closed = true;
      // The runtime removes the socket's file with its listener.
      listener.close();
    },
  };
}

/**
 * @param peerHost the only address that a TCP connection is taken from: anybody can reach a port, a
 * unix socket lies in a folder of the gateway's own
 * @throws {GatewayError} `memory_stream_failed` when QEMU does not connect
 */
export async function acceptOne(
  listener: StreamListener,
  clock: Clock,
  peerHost: string | null,
): Promise<Deno.Conn> {
  return await withDeadline(
    clock,
    ACCEPT_TIMEOUT_MS,
    acceptFrom(listener.listener, peerHost),
    () =>
      new GatewayError(
        "memory_stream_failed",
        `Cannot read the machine's memory: QEMU did not connect to ${listener.uri}`,
        { hint: 'Check that QEMU can reach this address; see "data" of the guest' },
      ),
  );
}

async function acceptFrom(listener: Deno.Listener, peerHost: string | null): Promise<Deno.Conn> {
  for (;;) {
    const conn = await listener.accept();
    const { remoteAddr } = conn;
    if (!("hostname" in remoteAddr) || remoteAddr.hostname === peerHost) return conn;
    conn.close();
  }
}
