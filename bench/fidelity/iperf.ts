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

/** What a test saw, in packets and in bits of full IP packets a second. */
export interface IperfResult {
  readonly bitsPerSecond: number;
  readonly sentPackets: number;
  readonly arrivedPackets: number;
}

/** What comes out of a link that is offered more than it carries. */
export async function udpRate(
  ends: IperfEnds,
  offeredBitsPerSecond: number,
  seconds: number,
): Promise<IperfResult> {
  const payloadBytes = MTU_BYTES - UDP_HEADER_BYTES;
  const report = await iperf(ends, [
    ...["-u", "-b", String(Math.round(offeredBitsPerSecond)), "-l", String(payloadBytes)],
    ...["-t", String(seconds)],
  ]);
  return { ...counted(report), bitsPerSecond: bitsOf(report) * MTU_BYTES / payloadBytes };
}

/** What TCP carries. */
export async function tcpRate(ends: IperfEnds, seconds: number): Promise<number> {
  const report = await iperf(ends, ["-C", "bbr", "-P", "4", "-t", String(seconds)]);
  return bitsOf(report) * MTU_BYTES / (MTU_BYTES - TCP_HEADER_BYTES);
}

/** What arrives at a pace that no queue drops. */
export async function udpPackets(
  ends: IperfEnds,
  { packetsPerSecond, packets, packetBytes }: {
    readonly packetsPerSecond: number;
    readonly packets: number;
    readonly packetBytes: number;
  },
): Promise<IperfResult> {
  const payloadBytes = packetBytes - UDP_HEADER_BYTES;
  const report = await iperf(ends, [
    ...["-u", "-b", String(Math.round(packetsPerSecond * payloadBytes * 8))],
    ...["-l", String(payloadBytes), "-k", String(packets)],
  ]);
  return { ...counted(report), bitsPerSecond: 0 };
}

function counted({ end }: Report): Pick<IperfResult, "sentPackets" | "arrivedPackets"> {
  const { packets, lost_packets: lost } = end.sum!;
  return { sentPackets: packets, arrivedPackets: packets - lost };
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

function bitsOf({ server_output_json: server }: Report): number {
  const intervals = server!.intervals.slice(FIRST_INTERVALS_LEFT_OUT, -LAST_INTERVALS_LEFT_OUT);
  const sum = (of: (interval: Interval) => number) => intervals.map(of).reduce((a, b) => a + b, 0);
  return sum(({ sum }) => sum.bytes) * 8 / sum(({ sum }) => sum.seconds);
}
