import { type NetworkNamespace } from "../../src/testing/netns.ts";

/** Of IPv4 and UDP, and of IPv4 and TCP with timestamps. */
const UDP_HEADER_BYTES = 28;
const TCP_HEADER_BYTES = 52;
const MTU_BYTES = 1500;
/** Until the queue is full and the first packets have come, and while the end drains. */
const FIRST_INTERVALS_LEFT_OUT = 3;
const LAST_INTERVALS_LEFT_OUT = 1;

interface Interval {
  readonly sum: { readonly bytes: number; readonly seconds: number };
}

interface Report {
  readonly error?: string;
  readonly end: {
    readonly sum?: { readonly packets: number; readonly lost_packets: number };
  };
  readonly server_output_json?: { readonly intervals: readonly Interval[] };
}

/** An iperf3 server in a namespace, for one test after the other. */
export function startIperfServer({ name }: NetworkNamespace): AsyncDisposable {
  const child = new Deno.Command("ip", {
    args: ["netns", "exec", name, "iperf3", "-s", "-J"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

export interface IperfEnds {
  readonly from: NetworkNamespace;
  readonly address: string;
}

/** What comes out of a link that is offered more than it carries; bits of IP packets a second. */
export async function udpRate(
  ends: IperfEnds,
  offeredBitsPerSecond: number,
  seconds: number,
): Promise<number> {
  const payloadBytes = MTU_BYTES - UDP_HEADER_BYTES;
  const report = await iperf(ends, [
    ...["-u", "-b", String(Math.round(offeredBitsPerSecond)), "-l", String(payloadBytes)],
    ...["-t", String(seconds)],
  ]);
  return receivedBitsPerSecond(report) * MTU_BYTES / payloadBytes;
}

/** What TCP carries, in bits of full IP packets a second. */
export async function tcpRate(ends: IperfEnds, seconds: number): Promise<number> {
  const report = await iperf(ends, ["-C", "bbr", "-P", "4", "-t", String(seconds)]);
  return receivedBitsPerSecond(report) * MTU_BYTES / (MTU_BYTES - TCP_HEADER_BYTES);
}

/** Share of packets that do not arrive at a pace that no queue drops. */
export async function udpLoss(
  ends: IperfEnds,
  { bitsPerSecond, packets, packetBytes }: {
    readonly bitsPerSecond: number;
    readonly packets: number;
    readonly packetBytes: number;
  },
): Promise<number> {
  const payloadBytes = packetBytes - UDP_HEADER_BYTES;
  const { end } = await iperf(ends, [
    ...["-u", "-b", String(Math.round(bitsPerSecond * payloadBytes / packetBytes))],
    ...["-l", String(payloadBytes), "-k", String(packets)],
  ]);
  return end.sum!.lost_packets / end.sum!.packets;
}

async function iperf({ from, address }: IperfEnds, args: readonly string[]): Promise<Report> {
  const { stdout, stderr } = await new Deno.Command("ip", {
    args: [
      ...["netns", "exec", from.name, "iperf3", "-c", address, "-J", "--get-server-output"],
      ...args,
    ],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  const report = JSON.parse(text || "{}") as Report;
  if (report.error !== undefined || text === "") {
    throw new Error(`iperf3: ${report.error ?? new TextDecoder().decode(stderr)}`);
  }
  return report;
}

function receivedBitsPerSecond({ server_output_json: server }: Report): number {
  const intervals = server!.intervals.slice(FIRST_INTERVALS_LEFT_OUT, -LAST_INTERVALS_LEFT_OUT);
  const sum = (of: (interval: Interval) => number) => intervals.map(of).reduce((a, b) => a + b, 0);
  return sum(({ sum }) => sum.bytes) * 8 / sum(({ sum }) => sum.seconds);
}
