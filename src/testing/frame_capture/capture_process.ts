/**
 * The process of a frame capture (see capture.ts): every announcement that any device of its network
 * namespace receives, with the time. It ends with its stdin, then prints `CapturedFrame[]`.
 *
 * Needs `--allow-ffi` and root (or CAP_NET_RAW).
 */
import { Poller } from "../../emulator/libc.ts";
import { announcementOf, type CapturedFrame } from "./announced.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
/** ETH_P_ALL in network order. */
const EVERY_PROTOCOL = 0x0300;
const STDIN_FD = 0;

const { symbols } = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  ppoll: { parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" },
});

function capture(): CapturedFrame[] {
  const fd = symbols.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, EVERY_PROTOCOL);
  if (fd < 0) throw new Error("Cannot open a packet socket");
  Deno.stdout.writeSync(new TextEncoder().encode("\n"));
  const poller = new Poller(
    [fd, STDIN_FD],
    (entries, count, timeout) => symbols.ppoll(entries, BigInt(count), timeout, null),
  );
  const buffer = new Uint8Array(2048);
  const seen: CapturedFrame[] = [];
  while (!poller.isReadable(1)) {
    poller.wait(60_000);
    for (;;) {
      const length = symbols.read(fd, buffer, BigInt(buffer.length));
      if (length <= 0) break;
      const announced = announcementOf(buffer.subarray(0, length));
      if (announced) seen.push({ ...announced, atWallMs: Date.now() });
    }
  }
  return seen;
}

if (import.meta.main) {
  const record = new TextEncoder().encode(JSON.stringify(capture()));
  for (let at = 0; at < record.length;) at += Deno.stdout.writeSync(record.subarray(at));
}
