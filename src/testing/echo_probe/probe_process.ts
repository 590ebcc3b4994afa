/**
 * The process of an echo probe (see probe.ts): one ICMP echo request each interval to one IPv4
 * address, and when each was answered. One synchronous loop around ppoll, because a timer of the
 * runtime is late by more than a millisecond. It ends with its stdin, then prints an `EchoRecord`.
 *
 * Arguments: address, interval in milliseconds. Needs `--allow-ffi` and root (or CAP_NET_RAW).
 */
import { Poller } from "../../emulator/libc.ts";
import { decodeReply, encodeEcho } from "./icmp.ts";
import type { EchoRecord } from "./silence.ts";

const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_ICMP = 1;
const STDIN_FD = 0;
/** Requests beyond this are a probe that was forgotten. */
const REQUESTS_MAX = 1_000_000;

const { symbols } = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  ppoll: { parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" },
});

function openSocket(address: string): number {
  const fd = symbols.socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
  // struct sockaddr_in: family in host order, port, address, padding.
  const sockaddr = new Uint8Array(16);
  new DataView(sockaddr.buffer).setUint16(0, AF_INET, true);
  sockaddr.set(address.split(".").map(Number), 4);
  if (fd < 0 || symbols.connect(fd, sockaddr, sockaddr.length) < 0) {
    throw new Error(`Cannot open a raw socket to ${address}`);
  }
  return fd;
}

function probe(address: string, intervalMs: number): EchoRecord {
  const fd = openSocket(address);
  const poller = new Poller(
    [fd, STDIN_FD],
    (entries, count, timeout) => symbols.ppoll(entries, BigInt(count), timeout, null),
  );
  const identifier = Deno.pid & 0xffff;
  const buffer = new Uint8Array(2048);
  const startMs = performance.now();
  const startedWallMs = performance.timeOrigin + startMs;
  const now = () => Math.round((performance.now() - startMs) * 100) / 100;
  const sentAtMs: number[] = [];
  const answeredAtMs: (number | null)[] = [];
  let nextMs = 0;
  while (sentAtMs.length < REQUESTS_MAX) {
    if (now() >= nextMs) {
      const request = encodeEcho(identifier, sentAtMs.length);
      sentAtMs.push(now());
      answeredAtMs.push(null);
      // A request that cannot be sent (no neighbour yet) is one without an answer.
      symbols.write(fd, request, BigInt(request.length));
      // A late one moves those after it: a burst would ask no more than one request does.
      nextMs = Math.max(nextMs, now() - intervalMs) + intervalMs;
    }
    poller.wait(nextMs - now());
    if (poller.isReadable(1)) break;
    for (;;) {
      const length = symbols.read(fd, buffer, BigInt(buffer.length));
      if (length <= 0) break;
      const number = decodeReply(buffer.subarray(0, length), identifier);
      if (number !== null && number < answeredAtMs.length) answeredAtMs[number] ??= now();
    }
  }
  return { intervalMs, startedWallMs, sentAtMs, answeredAtMs };
}

if (import.meta.main) {
  const [address, intervalMs] = Deno.args;
  const record = new TextEncoder().encode(JSON.stringify(probe(address, Number(intervalMs))));
  for (let at = 0; at < record.length;) at += Deno.stdout.writeSync(record.subarray(at));
}
