/**
 * The gateway's network process: owns a TUN device and sends Ethernet frames, which Deno cannot do
 * without the C library (see net_helper.ts, net_messages.ts). One synchronous loop around ppoll. It
 * ends with its input, so that it cannot outlive the gateway, and its device ends with it.
 *
 * Needs `--allow-ffi` and root (or CAP_NET_ADMIN and CAP_NET_RAW).
 */
import { Libc } from "../emulator/libc.ts";
import {
  NET_HEADER_BYTES,
  NET_MESSAGES,
  type NetAnswer,
  netMessage,
  NetMessages,
  type NetSetup,
  writeHeader,
} from "./net_messages.ts";

const STDIN_FD = 0;
/** Packets read from the device before the input gets its turn. */
const BATCH_PACKETS = 32;
const PACKET_BYTES_MAX = 65_536;

function main(): void {
  const libc = new Libc();
  const input = new NetMessages();
  const chunk = new Uint8Array(262_144);
  const output = new Uint8Array(BATCH_PACKETS * (NET_HEADER_BYTES + PACKET_BYTES_MAX));
  let tunFd: number | null = null;
  let framesFd: number | null = null;
  let neighboursFd: number | null = null;

  const heard = (type: number, body: Uint8Array) => {
    if (type === NET_MESSAGES.packet) {
      // Fails while the device is down; a cable that is not plugged in loses packets too.
      if (tunFd !== null) libc.write(tunFd, body, body.length);
    } else if (type === NET_MESSAGES.frame) {
      const index = new DataView(body.buffer, body.byteOffset).getInt32(0);
      try {
        // A copy: the call wants the start of a buffer, and frames are rare.
        libc.sendFrame(framesFd ??= libc.openFrames(), index, body.slice(4));
      } catch {
        // The device may be down or gone: the next round comes soon.
      }
    } else if (type === NET_MESSAGES.listen) {
      const index = new DataView(body.buffer, body.byteOffset).getInt32(0);
      neighboursFd ??= libc.openNeighbours(index);
    } else {
      const { tun }: NetSetup = JSON.parse(new TextDecoder().decode(body));
      if (tun !== null) tunFd = libc.openTun(null, tun);
      say({ event: "ready" });
    }
  };
  try {
    let poller = libc.poller([STDIN_FD]);
    for (;;) {
      const fds = [STDIN_FD, ...[tunFd, neighboursFd].filter((fd) => fd !== null)];
      if (fds.length !== poller.fds.length) poller = libc.poller(fds);
      poller.wait(3_600_000);
      const isReadable = (fd: number | null) =>
        fd !== null && poller.fds.includes(fd) && poller.isReadable(poller.fds.indexOf(fd));
      if (isReadable(tunFd)) passOn(libc, tunFd!, NET_MESSAGES.packet, output);
      if (isReadable(neighboursFd)) passOn(libc, neighboursFd!, NET_MESSAGES.frame, output);
      if (!isReadable(STDIN_FD)) continue;
      const byteCount = libc.read(STDIN_FD, chunk);
      if (byteCount <= 0) return;
      input.add(chunk.subarray(0, byteCount), heard);
    }
  } catch (error) {
    say({ event: "failed", message: error instanceof Error ? error.message : String(error) });
    Deno.exitCode = 1;
  }
}

/** What a device has goes to the output, several packets or frames in one write. */
function passOn(libc: Libc, fd: number, type: number, output: Uint8Array): void {
  let at = 0;
  for (let count = 0; count < BATCH_PACKETS; count++) {
    const packetBytes = libc.read(fd, output.subarray(at + NET_HEADER_BYTES));
    if (packetBytes <= 0) break;
    at += writeHeader(output, at, type, packetBytes);
  }
  if (at > 0) writeAll(output.subarray(0, at));
}

function say(answer: NetAnswer): void {
  writeAll(netMessage(NET_MESSAGES.text, new TextEncoder().encode(JSON.stringify(answer))));
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

if (import.meta.main) main();
