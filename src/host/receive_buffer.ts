import { int, systemSockets } from "./system_sockets.ts";

/** <bits/socket.h> */
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;

/**
 * Room for what comes in while a process waits for a processor. The usual 208 KiB hold 90 packets,
 * 10 ms at 100 Mbit/s; docs/results.md has what a busy host loses with them.
 */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Gives a UDP socket of this process that much room: anybody up to `net.core.rmem_max`, a process
 * with CAP_NET_ADMIN beyond that.
 *
 * @param localPort that it is bound to
 * @returns what it has now, bytes; null where that cannot be told (no leave to call the C library)
 */
export function growReceiveBuffer(localPort: number): number | null {
  const sockets = systemSockets();
  const fd = sockets?.find({ type: "udp", localPort, remote: null }) ?? null;
  if (!sockets || fd === null) return null;
  const has = () => {
    const value = sockets.get(fd, SOL_SOCKET, SO_RCVBUF, 4);
    // The kernel counts its own overhead and shows twice what was asked for (socket(7)).
    return value && new DataView(value.slice().buffer).getInt32(0, true) / 2;
  };
  if ((has() ?? 0) >= RECEIVE_BUFFER_BYTES) return has();
  const wanted = int(RECEIVE_BUFFER_BYTES);
  if (!sockets.set(fd, SOL_SOCKET, SO_RCVBUFFORCE, wanted)) {
    sockets.set(fd, SOL_SOCKET, SO_RCVBUF, wanted);
  }
  return has();
}
