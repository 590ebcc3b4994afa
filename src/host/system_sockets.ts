/**
 * Sockets of this process by what they are bound to: for options that the runtime has no call for.
 * It does not tell a socket's descriptor, so that is looked for by the addresses of its ends. Needs
 * `--allow-ffi`, for the whole or for the C library's path alone. Linux only.
 */

/** <bits/socket.h> */
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_TYPE = 3;

/** Types of `SO_TYPE` (<bits/socket_type.h>). */
export const SOCKET_TYPES = { tcp: 1, udp: 2 } as const;

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
const SOCKADDR_BYTES_MAX = 128;

const SYMBOLS = {
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** A socket as it is looked for. */
export interface SocketEnds {
  readonly type: keyof typeof SOCKET_TYPES;
  readonly localPort: number;
  /** Null for one that is not connected. */
  readonly remote: { readonly address: string; readonly port: number } | null;
}

/** Options of the system's sockets, by number as in the C library's headers. */
export interface SystemSockets {
  /** Descriptor of the first socket with these ends; null where this process has none. */
  find(ends: SocketEnds): number | null;
  /** True where this descriptor is a socket with these ends: it may have become another one's. */
  is(fd: number, ends: SocketEnds): boolean;
  /** False where the system refuses. */
  set(fd: number, level: number, option: number, value: Uint8Array<ArrayBuffer>): boolean;
  /** Null where the system refuses; else what it wrote, at most `bytesMax`. */
  get(fd: number, level: number, option: number, bytesMax: number): Uint8Array | null;
}

let loaded: SystemSockets | null | undefined;

/** Null where this process may not load the C library, or there is none. */
export function systemSockets(): SystemSockets | null {
  if (loaded === undefined) {
    const symbols = loadSymbols();
    loaded = symbols && socketsOf(symbols);
  }
  return loaded;
}

/** A number as these options take it: an `int` in the machine's order. */
export function int(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Int32Array([value]).buffer);
}

function socketsOf(symbols: Symbols): SystemSockets {
  const get: SystemSockets["get"] = (fd, level, option, bytesMax) => {
    const value = new Uint8Array(bytesMax);
    const length = new Uint32Array([bytesMax]);
    if (symbols.getsockopt(fd, level, option, value, length) !== 0) return null;
    return value.subarray(0, length[0]);
  };
  return {
    find: (ends) => find(symbols, get, ends),
    is: (fd, ends) => is(symbols, get, fd, ends),
    set: (fd, level, option, value) =>
      symbols.setsockopt(fd, level, option, value, value.length) === 0,
    get,
  };
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

/** Several descriptors of one socket are the same to it. */
function find(symbols: Symbols, get: SystemSockets["get"], ends: SocketEnds): number | null {
  for (let fd = 0; fd < DESCRIPTORS_MAX; fd++) if (is(symbols, get, fd, ends)) return fd;
  return null;
}

function is(
  symbols: Symbols,
  get: SystemSockets["get"],
  fd: number,
  { type, localPort, remote }: SocketEnds,
): boolean {
  const name = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = new Uint32Array([SOCKADDR_BYTES_MAX]);
  if (symbols.getsockname(fd, name, length) !== 0) return false;
  if (addressOf(name) === null || portOf(name) !== localPort) return false;
  length[0] = SOCKADDR_BYTES_MAX;
  const isConnected = symbols.getpeername(fd, name, length) === 0;
  if (isConnected !== (remote !== null)) return false;
  if (remote !== null) {
    if (portOf(name) !== remote.port || addressOf(name) !== normalAddress(remote.address)) {
      return false;
    }
  }
  const value = get(fd, SOL_SOCKET, SO_TYPE, 4);
  return value !== null && value[0] === SOCKET_TYPES[type];
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
