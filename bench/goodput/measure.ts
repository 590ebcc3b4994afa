import type { WanProfile } from "../../src/emulator/settings.ts";
import { startTunLink, type TunCounters } from "../../src/emulator/tun_link.ts";
import type { CarrierKind } from "../../src/link/carrier.ts";
import { DEVICE, LEFT_ADDRESS, makeSites, NETWORK, PORT, RIGHT_ADDRESS, startEnd } from "./ends.ts";
import type { EndLine } from "./messages.ts";
import { namespacePair, useCongestionControl } from "./namespaces.ts";

/**
 * What goes through the link: our carriers over QUIC and over TLS, the latter with BBR set by itself
 * on its sockets or left with cubic, and one plain TCP connection with either.
 */
export type Contestant =
  | "causeway"
  | "causeway-tls"
  | "causeway-tls-cubic"
  | "tcp-cubic"
  | "tcp-bbr";

/** One transfer. */
export interface Measurement {
  readonly contestant: Contestant;
  /** Payload per second after the warm-up, over the link's rate of IP packets; 0 to 1. */
  readonly goodputRatio: number;
  readonly goodputBitsPerSecond: number;
  /** Share of the sender's packets that the bottleneck's queue dropped. */
  readonly queueDropRatio: number;
  /** IP bytes offered for each byte of payload that arrived. */
  readonly overheadRatio: number;
  /** Mean length of the sender's IP packets. */
  readonly packetBytes: number;
  readonly senderCpuMs: number;
  readonly receiverCpuMs: number;
  readonly receivedBytes: number;
  /** Round trips of urgent records meanwhile; null for TCP, which has none. */
  readonly echoMs: { readonly median: number; readonly p99: number } | null;
  readonly emulator: { readonly latePackets: number; readonly deviceDrops: number };
  readonly received: readonly { readonly atMs: number; readonly bytes: number }[];
  readonly trace: readonly unknown[];
}

export interface MeasureOptions {
  readonly contestant: Contestant;
  readonly profile: WanProfile;
  readonly seconds: number;
  /** Not counted at the beginning. */
  readonly warmUpMs: number;
  readonly seed: number;
}

/** Sends for `seconds` through a fresh link of the profile and counts what arrives. */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  await using namespaces = await namespacePair();
  await using link = await startTunLink({
    profile: options.profile,
    seed: options.seed,
    left: { netns: namespaces.left, device: DEVICE, address: `${LEFT_ADDRESS}/24` },
    right: { netns: namespaces.right, device: DEVICE, address: `${RIGHT_ADDRESS}/24` },
  });
  const { contestant } = options;
  const control = contestant === "tcp-bbr" ? "bbr" : "cubic";
  await useCongestionControl(namespaces.left, DEVICE, NETWORK, control);
  const dir = await Deno.makeTempDir({ prefix: "causeway-goodput-" });
  try {
    const seconds = String(options.seconds);
    const [receiverArgs, senderArgs] = contestant.startsWith("causeway")
      ? await carrierEnds(dir, seconds, contestant === "causeway" ? "quic" : "tls")
      : [
        ["tcp_end.ts", "receive", `${RIGHT_ADDRESS}:${PORT}`],
        ["tcp_end.ts", "send", `${RIGHT_ADDRESS}:${PORT}`, seconds],
      ];
    const permissions = contestant === "causeway-tls" ? ["--allow-ffi"] : [];
    const receiver = startEnd(namespaces.right, receiverArgs, undefined, permissions);
    await receiver.listening;
    const sender = startEnd(namespaces.left, senderArgs, undefined, permissions);
    const senderLines = await sender.lines;
    if (!senderLines.some(({ event }) => event === "done")) {
      receiver.stop();
      throw new Error(`The sender of ${contestant} failed, see above`);
    }
    // What is on its way still arrives, but counts for nobody.
    const counters = await link.counters();
    receiver.stop();
    return evaluate(options, await receiver.lines, senderLines, counters);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function carrierEnds(
  dir: string,
  seconds: string,
  kind: CarrierKind,
): Promise<[string[], string[]]> {
  const { left, right } = await makeSites(dir);
  return [
    ["carrier_end.ts", "receive", right],
    ["carrier_end.ts", "send", left, "right", seconds, kind],
  ];
}

function evaluate(
  { contestant, profile, seconds, warmUpMs }: MeasureOptions,
  receiverLines: EndLine[],
  senderLines: EndLine[],
  { forward, latePackets, deviceDrops }: TunCounters,
): Measurement {
  const received = receiverLines.filter((line) => line.event === "received")
    .map(({ atMs, bytes }) => ({ atMs, bytes }));
  const counted = received.filter(({ atMs }) => atMs >= warmUpMs && atMs <= seconds * 1000);
  const [first, last] = [counted[0], counted.at(-1)];
  const bitsPerSecond = first && last && last.atMs > first.atMs
    ? (last.bytes - first.bytes) * 8000 / (last.atMs - first.atMs)
    : 0;
  const cpuOf = (lines: EndLine[]) => lines.find((line) => line.event === "done")?.cpuMs ?? NaN;
  const echo = senderLines.find((line) => line.event === "echoes");
  const receivedBytes = received.at(-1)?.bytes ?? 0;
  return {
    contestant,
    goodputRatio: bitsPerSecond / profile.forward.rateBitsPerSecond,
    goodputBitsPerSecond: bitsPerSecond,
    queueDropRatio: forward.droppedPackets.queue / forward.offeredPackets,
    overheadRatio: forward.offeredBytes / receivedBytes,
    packetBytes: forward.offeredBytes / forward.offeredPackets,
    senderCpuMs: cpuOf(senderLines),
    receiverCpuMs: cpuOf(receiverLines),
    receivedBytes,
    echoMs: echo && echo.ms.length > 0
      ? { median: quantile(echo.ms, 0.5), p99: quantile(echo.ms, 0.99) }
      : null,
    emulator: { latePackets, deviceDrops },
    received,
    trace: senderLines.filter((line) => line.event === "trace"),
  };
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
