/**
 * Options of TCP sockets that the runtime has no call for. Without leave to call the C library
 * sockets stay as the system makes them, and `ip route … congctl bbr` does the same for a whole route.
 */
import type { TLSSocket } from "node:tls";
import { int, type SocketEnds, type SystemSockets, systemSockets } from "../host/system_sockets.ts";
import { readTcpInfo, TCP_INFO_BYTES, type TcpCounts } from "./tcp_info.ts";

/** <linux/in.h>, <linux/tcp.h>. */
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const TCP_NOTSENT_LOWAT = 25;

/** Longest name of a congestion control (TCP_CA_NAME_MAX). */
const NAME_BYTES_MAX = 16;

/**
 * What the kernel keeps of a socket and has not sent. What is more waits in the gateway, where it
 * can go over another connection or be overtaken.
 */
export const NOT_SENT_BYTES = 128 * 1024;

/** What `tune` could do with a socket. */
export interface TunedSocket {
  /** The congestion control that it has now; null where that cannot be told. */
  readonly congestionControl: string | null;
  /** What TCP has counted of it; null where that cannot be told, or it is gone. */
  counts(): TcpCounts | null;
}

/** Of a socket that cannot be asked. */
export const UNTUNED: TunedSocket = { congestionControl: null, counts: () => null };

/** Sets what a socket of a carrier should have, as far as the system allows. */
export interface TcpTuner {
  tune(socket: Pick<TLSSocket, "localPort" | "remotePort" | "remoteAddress">): TunedSocket;
}

/** The system's tuner; null where this process may not call the C library. */
export function tcpTuner(): TcpTuner | null {
  const sockets = systemSockets();
  return sockets && { tune: (socket) => tune(sockets, socket) };
}

function tune(
  sockets: SystemSockets,
  { localPort, remotePort, remoteAddress }: Parameters<TcpTuner["tune"]>[0],
): TunedSocket {
  if (!localPort || !remotePort || !remoteAddress) return UNTUNED;
  const remote = { address: remoteAddress, port: remotePort };
  const ends: SocketEnds = { type: "tcp", localPort, remote };
  const fd = sockets.find(ends);
  if (fd === null) return UNTUNED;
  // Refused where the module is not loaded, and to others than root where it is not allowed.
  sockets.set(fd, IPPROTO_TCP, TCP_CONGESTION, new TextEncoder().encode("bbr"));
  sockets.set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, int(NOT_SENT_BYTES));
  const name = sockets.get(fd, IPPROTO_TCP, TCP_CONGESTION, NAME_BYTES_MAX);
  return {
    congestionControl: name && new TextDecoder().decode(name).replace(/\0.*$/s, ""),
    counts: () => {
      if (!sockets.is(fd, ends)) return null;
      const info = sockets.get(fd, IPPROTO_TCP, TCP_INFO, TCP_INFO_BYTES);
      return info && readTcpInfo(info);
    },
  };
}
