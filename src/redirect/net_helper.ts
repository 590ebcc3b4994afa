import { GatewayError } from "../core/errors.ts";
import {
  NET_MESSAGES,
  type NetAnswer,
  netMessage,
  NetMessages,
  type NetSetup,
} from "./net_messages.ts";

const PROCESS_URL = new URL("./net_process.ts", import.meta.url);
/** What may wait to be written to the process; more is dropped, as a full device would. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** The gateway's end of its network process. */
export interface NetHelper {
  /** Writes an IP packet to the TUN device. @returns false where it was dropped */
  write(packet: Uint8Array): boolean;
  /** Sends an Ethernet frame out of a device. */
  sendFrame(deviceIndex: number, frame: Uint8Array): void;
  /** Has answers of neighbours (ARP, neighbour advertisements) told that come by a device. */
  listen(deviceIndex: number): void;
  /** Resolves (never rejects) with the process. */
  readonly ended: Promise<void>;
  /** Ends the process, and the TUN device with it. */
  close(): Promise<void>;
}

/**
 * Starts the process that owns a TUN device and sends frames, in the gateway's own network namespace.
 *
 * @param tun name of the device to make, or null
 * @param onPacket is given each packet of the device; valid until it returns
 * @param prefix goes before the command, such as `ip netns exec NAME` in tests
 * @param onFrame is given each frame that `listen` asks for; valid until it returns
 * @throws {GatewayError} `redirect_failed`
 */
export async function startNetHelper(
  tun: string | null,
  onPacket: (packet: Uint8Array) => void = () => {},
  prefix: readonly string[] = [],
  onFrame: (frame: Uint8Array) => void = () => {},
): Promise<NetHelper> {
  const rights = ["run", "--quiet", "--no-prompt", "--no-config", "--allow-ffi"];
  const [program, ...args] = [...prefix, Deno.execPath(), ...rights, PROCESS_URL.href];
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const input = child.stdin.getWriter();
  let waitingBytes = 0;
  const say = (type: number, body: Uint8Array): boolean => {
    if (waitingBytes > WAITING_BYTES_MAX) return false;
    const message = netMessage(type, body);
    waitingBytes += message.length;
    // A process that has ended is seen by its output's end.
    input.write(message).catch(() => {}).finally(() => waitingBytes -= message.length);
    return true;
  };
  const answered = Promise.withResolvers<NetAnswer>();
  const reading = (async () => {
    const messages = new NetMessages();
    for await (const chunk of child.stdout) {
      messages.add(chunk, (type, body) => {
        if (type === NET_MESSAGES.packet) onPacket(body);
        else if (type === NET_MESSAGES.frame) onFrame(body);
        else answered.resolve(JSON.parse(new TextDecoder().decode(body)));
      });
    }
  })().catch(() => {}).then(() => answered.resolve({ event: "failed", message: "it has ended" }));
  const ended = Promise.all([reading, child.status]).then(() => {});
  const close = async () => {
    await input.close().catch(() => {});
    await ended;
  };

  const setup: NetSetup = { tun };
  say(NET_MESSAGES.text, new TextEncoder().encode(JSON.stringify(setup)));
  const answer = await answered.promise;
  if (answer.event === "failed") {
    await close();
    throw new GatewayError("redirect_failed", `Cannot run the network process: ${answer.message}`, {
      hint: "It needs Linux, root (or CAP_NET_ADMIN and CAP_NET_RAW) and /dev/net/tun",
    });
  }
  return {
    write: (packet) => say(NET_MESSAGES.packet, packet),
    sendFrame(deviceIndex, frame) {
      const body = new Uint8Array(4 + frame.length);
      new DataView(body.buffer).setInt32(0, deviceIndex);
      body.set(frame, 4);
      say(NET_MESSAGES.frame, body);
    },
    listen(deviceIndex) {
      const body = new Uint8Array(4);
      new DataView(body.buffer).setInt32(0, deviceIndex);
      say(NET_MESSAGES.listen, body);
    },
    ended,
    close,
  };
}
