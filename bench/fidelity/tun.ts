import type { WanProfile } from "../../src/emulator/settings.ts";
import { findStaticBusybox } from "../../src/testing/guest_image/static_busybox.ts";
import { namespaceNamed } from "../../src/testing/netns.ts";
import { Arena } from "../bytes/arena.ts";
import { startIperfServer, tcpRate, udpLoss, udpRate } from "./iperf.ts";
import { type Finding, finding, lossOf, medianOf, roundTripMsOf } from "./judge.ts";
import type { FidelityOptions } from "./options.ts";
import { packetBytesFor, QUEUE_SHARE } from "./options.ts";

/** More than the link carries, so that its queue is never empty. */
const OFFERED_RATIO = 1.3;
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
  const roundTripMs = medianOf(await pingMs(a.netns, b.address, pings));
  const udp = await udpRate(ends, rate * OFFERED_RATIO, seconds);
  const tcp = await tcpRate(ends, seconds);
  const packetBytes = packetBytesFor(rate);
  const loss = await udpLoss(ends, {
    bitsPerSecond: rate * QUEUE_SHARE,
    packets: lossPackets,
    packetBytes,
  });
  const { latePackets, sentPackets } = await arena.counters();
  const where = {
    emulator: "tun",
    profile: profile.name,
    lateRatio: latePackets / sentPackets,
  } as const;
  return [
    finding(where, "round trip", { expected: roundTripMsOf(profile), measured: roundTripMs }),
    finding(where, "rate, UDP", { expected: rate, measured: udp }),
    // Over a link that loses packets TCP is as fast as its congestion control.
    finding(where, "rate, TCP", {
      expected: rate,
      measured: tcp,
      onlyAbove: lossOf(forward) > 0,
    }),
    finding(where, "loss", { expected: lossOf(forward), measured: loss, packets: lossPackets }),
  ];
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
