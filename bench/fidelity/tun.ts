import type { WanProfile } from "../../src/emulator/settings.ts";
import type { TunCounters } from "../../src/emulator/tun_link.ts";
import { findStaticBusybox } from "../../src/testing/guest_image/static_busybox.ts";
import { namespaceNamed } from "../../src/testing/netns.ts";
import { Arena } from "../bytes/arena.ts";
import { type IperfResult, startIperfServer, tcpRate, udpPackets, udpRate } from "./iperf.ts";
import {
  type Computer,
  computerOf,
  type Finding,
  finding,
  lossOf,
  medianOf,
  roundTripMsOf,
} from "./judge.ts";
import { type UdpCounts, udpCounts } from "./drops.ts";
import { type FidelityOptions, paceFor } from "./options.ts";

/** More than the link carries, so that its queue is never empty. */
const OFFERED_RATIO = 1.3;
const FULL_BYTES = 1_500;
const PING_INTERVAL_MS = 100;
const SERVER_START_MS = 300;

/** Ping and iperf3 through the IP-level link, as anybody would ask it. */
export async function measureTun(
  profile: WanProfile,
  { seed, seconds, lossPackets, pings }: FidelityOptions,
): Promise<Finding[]> {
  await using arena = await Arena.open(profile, seed);
  const { a, b } = arena.sites;
  const ends = { from: namespaceNamed(a.netns), address: b.address };
  await using _server = startIperfServer(namespaceNamed(b.netns));
  await new Promise((resolve) => setTimeout(resolve, SERVER_START_MS));
  const { forward } = profile;
  const rate = forward.rateBitsPerSecond;
  const where = { emulator: "tun", profile: profile.name } as const;
  const roundTripMs = medianOf(await pingMs(a.netns, b.address, pings));

  const count = async (): Promise<Counts> => ({
    link: await arena.counters(),
    from: await udpCounts(a.netns),
    to: await udpCounts(b.netns),
  });
  const beforeUdp = await count();
  const udp = await udpRate(ends, rate * OFFERED_RATIO, seconds);
  const afterUdp = await count();
  const tcp = await tcpRate(ends, seconds);
  const pace = paceFor(rate);
  const beforeLoss = await count();
  const loss = await udpPackets(ends, { ...pace, packets: lossPackets });
  const afterLoss = await count();

  const wantedUdp = rate * seconds / 8 / FULL_BYTES;
  const udpComputer = computer(beforeUdp, afterUdp, udp, wantedUdp);
  const lossComputer = computer(beforeLoss, afterLoss, loss, lossPackets);
  const { unsent, arrived, queued } = crossing(beforeLoss, afterLoss);
  // What the queue and the computer dropped is no loss of the line.
  const lost = loss.sentPackets - unsent - queued - arrived;
  return [
    finding({ ...where, computer: udpComputer }, "round trip", {
      expected: roundTripMsOf(profile),
      measured: roundTripMs,
    }),
    finding({ ...where, computer: udpComputer }, "rate, UDP", {
      expected: rate,
      measured: udp.bitsPerSecond,
    }),
    // Over a link that loses packets TCP is as fast as its congestion control.
    finding({ ...where, computer: udpComputer }, "rate, TCP", {
      expected: rate,
      measured: tcp,
      onlyAbove: lossOf(forward) > 0,
    }),
    finding({ ...where, computer: lossComputer }, "loss", {
      expected: lossOf(forward),
      measured: lost / loss.sentPackets,
      packets: loss.sentPackets,
    }),
  ];
}

/** What the emulator and both kernels have counted so far. */
interface Counts {
  readonly link: TunCounters;
  readonly from: UdpCounts;
  readonly to: UdpCounts;
}

function computer(
  before: Counts,
  after: Counts,
  { sentPackets }: IperfResult,
  wanted: number,
): Computer {
  const { offered, delivered, late, unsent, unread } = crossing(before, after);
  return computerOf({
    sent: sentPackets,
    wanted,
    offered,
    delivered,
    late,
    dropped: unsent + unread,
  });
}

/** From left to right between two counts. */
function crossing(before: Counts, after: Counts) {
  const of = (value: (counts: Counts) => number) => value(after) - value(before);
  return {
    offered: of(({ link }) => link.forward.offeredPackets),
    delivered: of(({ link }) => link.forward.deliveredPackets),
    queued: of(({ link }) => link.forward.droppedPackets.queue),
    late: of(({ link }) => link.latePackets),
    unsent: of(({ from }) => from.unsent),
    arrived: of(({ to }) => to.arrived),
    unread: of(({ to }) => to.unread),
  };
}

async function pingMs(netns: string, address: string, count: number): Promise<number[]> {
  const busybox = findStaticBusybox();
  if (busybox === null) throw new Error("There is no busybox to ping with");
  const interval = String(PING_INTERVAL_MS / 1000);
  const { stdout } = await new Deno.Command("ip", {
    args: ["netns", "exec", netns, busybox, "ping", "-c", `${count}`, "-i", interval, address],
    stdin: "null",
  }).output();
  const times = [...new TextDecoder().decode(stdout).matchAll(/ time=([\d.]+) ms/g)];
  return times.map(([, ms]) => Number(ms));
}
