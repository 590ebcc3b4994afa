/**
 * Options of TCP sockets that the runtime has no call for, by `setsockopt` of the C library. Needs
 * `--allow-ffi`, for the whole or for the library's path alone; without it sockets stay as the
 * system makes them, and `ip route … congctl bbr` does the same for a whole route.
 *
 * The runtime does not tell a socket's descriptor, so it is looked for: it is the one whose ends
 * have this socket's ports and remote address. Linux only.
 */
import type { TLSSocket } from "node:tls";

/** <linux/in.h>, <linux/tcp.h>. */
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
const TCP_NOTSENT_LOWAT = 25;
/** <bits/socket.h> */
const AF_INET = 2;
const AF_INET6 = 10;

/** Where C libraries are; the first one that may be loaded is. */
const LIBRARIES = [
  "libc.so.6",
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Descriptors that are looked at; a gateway has some hundred. */
const DESCRIPTORS_MAX = 4_096;
/** Longest name of a congestion control (TCP_CA_NAME_MAX). */
const NAME_BYTES_MAX = 16;
const SOCKADDR_BYTES_MAX = 128;

/**
 * What the kernel keeps of a socket and has not sent. What is more waits in the gateway, where it
 * can go over another connection or be overtaken.
 */
export const NOT_SENT_BYTES = 128 * 1024;

const SYMBOLS = {
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** What `tune` could do with a socket. */
export interface TunedSocket {
  /** The congestion control that it has now; null where that cannot be told. */
  readonly congestionControl: string | null;
}

/** Sets what a socket of a carrier should have, as far as the system allows. */
export interface TcpTuner {
  tune(socket: Pick<TLSSocket, "localPort" | "remotePort" | "remoteAddress">): TunedSocket;
}

let loaded: TcpTuner | null | undefined;

/** The system's tuner; null where this process may not load the C library, or there is none. */
export function tcpTuner(): TcpTuner | null {
  if (loaded === undefined) {
    const symbols = loadSymbols();
    loaded = symbols && { tune: (socket) => tune(symbols, socket) };
  }
  return loaded;
}

function loadSymbols(): Symbols | null {
  if (Deno.build.os !== "linux") return null;
  for (const path of LIBRARIES) {
    try {
      const permission = Deno.permissions.querySync({ name: "ffi", path });
      if (permission.state === "granted") return Deno.dlopen(path, SYMBOLS).symbols;
    } catch {
      // Another system keeps it elsewhere.
    }
  }
  return null;
}

function tune(
  symbols: Symbols,
  { localPort, remotePort, remoteAddress }: Parameters<TcpTuner["tune"]>[0],
): TunedSocket {
  if (!localPort || !remotePort || !remoteAddress) return { congestionControl: null };
  const fd = descriptorOf(symbols, { localPort, remotePort, remoteAddress });
  if (fd === null) return { congestionControl: null };
  const name = new TextEncoder().encode("bbr");
  // Refused where the module is not loaded, and to others than root where it is not allowed.
  symbols.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, name.length);
  const lowat = new Uint8Array(new Uint32Array([NOT_SENT_BYTES]).buffer);
  symbols.setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, lowat, lowat.length);
  return { congestionControl: congestionControlOf(symbols, fd) };
}

function congestionControlOf(symbols: Symbols, fd: number): string | null {
  const name = new Uint8Array(NAME_BYTES_MAX);
  const length = new Uint32Array([NAME_BYTES_MAX]);
  if (symbols.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, length) !== 0) return null;
  const end = name.indexOf(0);
  return new TextDecoder().decode(name.subarray(0, end < 0 ? length[0] : end));
}

interface Ends {
  readonly localPort: number;
  readonly remotePort: number;
  readonly remoteAddress: string;
}

/** Several descriptors of one socket are the same to it. */
function descriptorOf(symbols: Symbols, { localPort, remotePort, remoteAddress }: Ends) {
  const ends = { name: new Uint8Array(SOCKADDR_BYTES_MAX), length: new Uint32Array(1) };
  const wanted = normalAddress(remoteAddress);
  for (let fd = 0; fd < DESCRIPTORS_MAX; fd++) {
    ends.length[0] = SOCKADDR_BYTES_MAX;
    if (symbols.getpeername(fd, ends.name, ends.length) !== 0) continue;
    if (portOf(ends.name) !== remotePort || addressOf(ends.name) !== wanted) continue;
    ends.length[0] = SOCKADDR_BYTES_MAX;
    if (symbols.getsockname(fd, ends.name, ends.length) !== 0) continue;
    if (portOf(ends.name) === localPort) return fd;
  }
  return null;
}

/** Port of a `sockaddr_in` or `sockaddr_in6`; both have it in network order at 2. */
function portOf(sockaddr: Uint8Array): number {
  return sockaddr[2] << 8 | sockaddr[3];
}

/** Bytes of the address in hexadecimal; an IPv4 address within IPv6 as IPv4. */
function addressOf(sockaddr: Uint8Array): string | null {
  const family = new DataView(sockaddr.buffer).getUint16(0, true);
  if (family === AF_INET) return sockaddr.subarray(4, 8).toHex();
  if (family !== AF_INET6) return null;
  return withoutMapping(sockaddr.subarray(8, 24).toHex());
}

const MAPPED = "00000000000000000000ffff";

function withoutMapping(hex: string): string {
  return hex.startsWith(MAPPED) ? hex.slice(MAPPED.length) : hex;
}

/** The same for an address in text, as the runtime gives it. */
function normalAddress(text: string): string {
  const [address] = text.split("%");
  if (!address.includes(":")) return address.split(".").map(byteHex).join("");
  const [head, tail] = address.split("::");
  const groups = (part: string | undefined) =>
    (part ? part.split(":") : []).flatMap((group) =>
      group.includes(".") ? [group.split(".").map(byteHex).join("")] : [group.padStart(4, "0")]
    ).join("");
  const [first, last] = [groups(head), groups(tail)];
  return withoutMapping(first + "0".repeat(Math.max(0, 32 - first.length - last.length)) + last);
}

function byteHex(text: string): string {
  return Number(text).toString(16).padStart(2, "0");
}
