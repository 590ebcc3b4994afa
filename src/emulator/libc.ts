/**
 * The few calls of the C library that TUN devices and raw frames need and Deno does not offer (Linux,
 * 64 bit). Whoever imports this needs `--allow-ffi`; in the project only the processes that own TUN
 * devices.
 */

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  // Counts are below 2^31 here, so the low half of the result register is all of it, sign included.
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  ppoll: { parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;
/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** struct ifreq: 16 bytes of name, then the flags. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;
const POLLIN = 1;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
/**
 * What passes to who listens for neighbours: ARP answers and neighbour advertisements, told apart from
 * everything else on the device in the kernel. Classic BPF (linux/filter.h), `{ code, jt, jf, k }`:
 * 0x28 and 0x30 load 2 bytes and one of the frame, 0x15 compares, 0x06 ends with how much passes.
 */
const NEIGHBOUR_FILTER: readonly (readonly [number, number, number, number])[] = [
  [0x28, 0, 0, 12], // EtherType
  [0x15, 0, 2, 0x0806], // ARP: on, or to 4
  [0x28, 0, 0, 20], // operation
  [0x15, 5, 6, 2], // an answer: passes, or not
  [0x15, 0, 5, 0x86dd], // IPv6: on, or not
  [0x30, 0, 0, 20], // next header
  [0x15, 0, 3, 58], // ICMPv6: on, or not
  [0x30, 0, 0, 54], // type
  [0x15, 0, 1, 136], // an advertisement: passes, or not
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];
/** The same as struct sock_filter; of the module, so that it stays where a pointer has led. */
const FILTER_BYTES = Uint8Array.from(
  NEIGHBOUR_FILTER.flatMap(([code, ifTrue, ifFalse, value]) => {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, code, true);
    bytes.set([ifTrue, ifFalse], 2);
    view.setUint32(4, value, true);
    return [...bytes];
  }),
);
/** struct sockaddr_ll: u16 family, u16 protocol, i32 device, u16, u8, u8, 8 bytes of address. */
const SOCKADDR_LL_BYTES = 20;

/** The calls, of the C library that is loaded once. */
export class Libc {
  readonly #library = Deno.dlopen("libc.so.6", SYMBOLS);

  /** @returns bytes read, 0 at the end, -1 when nothing is there or on an error */
  read(fd: number, into: Uint8Array): number {
    return this.#library.symbols.read(fd, into as Uint8Array<ArrayBuffer>, BigInt(into.length));
  }

  /** @returns bytes written, -1 on an error */
  write(fd: number, bytes: Uint8Array, byteCount: number): number {
    return this.#library.symbols.write(fd, bytes as Uint8Array<ArrayBuffer>, BigInt(byteCount));
  }

  /**
   * Opens a new TUN device in a network namespace: reads and writes are whole IP packets.
   *
   * The calling thread enters the namespace for the two calls that matter and comes back. The
   * device lives as long as the descriptor.
   *
   * @param netns a name under /run/netns, `null` for the process's own
   * @throws {Error} naming the call and its errno
   */
  openTun(netns: string | null, device: string): number {
    if (netns === null) return this.#openTun(device);
    const home = this.#open("/proc/thread-self/ns/net", 0);
    const other = this.#open(`/run/netns/${netns}`, 0);
    try {
      this.#check(this.#library.symbols.setns(other, CLONE_NEWNET), `setns ${netns}`);
      try {
        return this.#openTun(device);
      } finally {
        this.#check(this.#library.symbols.setns(home, CLONE_NEWNET), "setns back");
      }
    } finally {
      this.#library.symbols.close(other);
      this.#library.symbols.close(home);
    }
  }

  /** A socket that sends Ethernet frames as they are. @throws {Error} naming the errno */
  openFrames(): number {
    // Protocol 0: nothing is received by it.
    const fd = this.#library.symbols.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    return this.#check(fd, "socket AF_PACKET");
  }

  /**
   * A socket that reads ARP answers and neighbour advertisements of the device with this index, one
   * whole frame each, without waiting. @throws {Error} naming the call and its errno
   */
  openNeighbours(deviceIndex: number): number {
    // Nothing is received before it is bound: no frame passes by the filter.
    const kind = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const fd = this.#check(this.#library.symbols.socket(AF_PACKET, kind, 0), "socket AF_PACKET");
    // struct sock_fprog: u16 count, padding, pointer.
    const program = new DataView(new ArrayBuffer(16));
    program.setUint16(0, FILTER_BYTES.length / 8, true);
    const pointer = Deno.UnsafePointer.value(Deno.UnsafePointer.of(FILTER_BYTES));
    program.setBigUint64(8, BigInt(pointer), true);
    const bytes = new Uint8Array(program.buffer);
    const { setsockopt, bind } = this.#library.symbols;
    this.#check(
      setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, bytes, bytes.length),
      "SO_ATTACH_FILTER",
    );
    const address = linkAddress(deviceIndex, ETH_P_ALL);
    this.#check(bind(fd, address, address.length), "bind AF_PACKET");
    return fd;
  }

  /** Sends a whole frame out of the device with this index. @throws {Error} naming the errno */
  sendFrame(fd: number, deviceIndex: number, frame: Uint8Array): void {
    const to = linkAddress(deviceIndex, 0);
    const bytes = frame as Uint8Array<ArrayBuffer>;
    const { sendto } = this.#library.symbols;
    this.#check(sendto(fd, bytes, BigInt(frame.length), 0, to, to.length), "sendto");
  }

  #openTun(device: string): number {
    const name = new TextEncoder().encode(device);
    if (name.length === 0 || name.length >= IFNAMSIZ) {
      throw new RangeError(`a device name has 1 to ${IFNAMSIZ - 1} bytes, not ${name.length}`);
    }
    const fd = this.#open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    const request = new Uint8Array(IFREQ_BYTES);
    request.set(name);
    new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TUN | IFF_NO_PI, true);
    const result = this.#library.symbols.ioctl(fd, BigInt(TUNSETIFF), request);
    this.#check(result, `TUNSETIFF ${device}`);
    return fd;
  }

  #open(path: string, flags: number): number {
    const fd = this.#library.symbols.open(new TextEncoder().encode(`${path}\0`), flags | O_CLOEXEC);
    return this.#check(fd, `open ${path}`);
  }

  #check(result: number, what: string): number {
    if (result >= 0) return result;
    const location = this.#library.symbols.__errno_location()!;
    const errno = new Deno.UnsafePointerView(location).getInt32();
    throw new Error(`${what} failed with errno ${errno}`);
  }

  /** Waits until one of the descriptors can be read. */
  poller(fds: readonly number[]): Poller {
    return new Poller(
      fds,
      (entries, count, timeout) =>
        this.#library.symbols.ppoll(entries, BigInt(count), timeout, null),
    );
  }
}

/** struct sockaddr_ll; the protocol is in network order. */
function linkAddress(deviceIndex: number, protocol: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(SOCKADDR_LL_BYTES));
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol);
  view.setInt32(4, deviceIndex, true);
  return new Uint8Array(view.buffer);
}

/** A set of descriptors to wait for, with its buffers made once. */
export class Poller {
  readonly #entries: DataView<ArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #timeout = new BigInt64Array(2);
  readonly #timeoutBytes = new Uint8Array(this.#timeout.buffer);

  constructor(
    readonly fds: readonly number[],
    readonly ppoll: (
      entries: Uint8Array<ArrayBuffer>,
      count: number,
      timeout: Uint8Array<ArrayBuffer>,
    ) => number,
  ) {
    // struct pollfd: i32 fd, i16 events, i16 revents.
    this.#bytes = new Uint8Array(8 * fds.length);
    this.#entries = new DataView(this.#bytes.buffer);
    for (const [index, fd] of fds.entries()) {
      this.#entries.setInt32(8 * index, fd, true);
      this.#entries.setInt16(8 * index + 4, POLLIN, true);
    }
  }

  /** @param timeoutMs with a fraction; at most an hour is waited */
  wait(timeoutMs: number): void {
    const ns = Math.round(Math.min(Math.max(timeoutMs, 0), 3_600_000) * 1e6);
    this.#timeout[0] = BigInt(Math.floor(ns / 1e9));
    this.#timeout[1] = BigInt(ns % 1e9);
    if (this.ppoll(this.#bytes, this.fds.length, this.#timeoutBytes) > 0) return;
    for (let index = 0; index < this.fds.length; index++) {
      this.#entries.setInt16(8 * index + 6, 0, true);
    }
  }

  /** Whether the descriptor at this index had something (or an error, or its end) to read. */
  isReadable(index: number): boolean {
    return this.#entries.getInt16(8 * index + 6, true) !== 0;
  }
}
