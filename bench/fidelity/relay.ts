import type { RelayCounters } from "../../src/emulator/udp_relay.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { growReceiveBuffer } from "../../src/host/receive_buffer.ts";
import { Serving } from "../../src/testing/site_process.ts";
import { computerOf, type Finding, finding, lossOf, medianOf } from "./judge.ts";
import { filledShare } from "./filled.ts";
import { type FidelityOptions, paceFor } from "./options.ts";

const HEADER_BYTES = 28;
const FULL_BYTES = 1_400;
const OFFERED_RATIO = 1.2;
const DELAY_INTERVAL_MS = 20;
/** Of a rate: until the queue is full. */
const SETTLE_MS = 3_000;
/** Until the last packets have come and the counters are written. */
const TAIL_MS = 1_500;

/** A client and a server with the UDP relay between them, as `causeway emulate` runs it. */
export async function measureRelay(
  profile: WanProfile,
  path: string,
  { seed, seconds, lossPackets, pings }: FidelityOptions,
): Promise<Finding[]> {
  using server = new Receiver();
  const counters = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await using relay = await Serving.start(
      ...["emulate", "--profile", path, "--seed", String(seed), "--counters", counters],
      ...["--listen", "127.0.0.1:0", "--to", server.address],
    );
    const to = relay.ready("listen");
    using client = new Sender(to);
    const rate = profile.forward.rateBitsPerSecond;
    const tailMs = profile.forward.delayMs + profile.forward.queueBytes * 8000 / rate + TAIL_MS;

    await client.send({ packets: pings, packetBytes: 100, perSecond: 1000 / DELAY_INTERVAL_MS });
    await pause(tailMs);
    const delayMs = medianOf(server.take().map(({ delayMs }) => delayMs));

    const perSecond = rate * OFFERED_RATIO / 8 / FULL_BYTES;
    const rated = await crossing({ client, server, counters, tailMs }, {
      packets: Math.round(perSecond * seconds),
      packetBytes: FULL_BYTES,
      perSecond,
    });
    // Offered more slowly than the link's own rate, it would not have filled.
    const wanted = rate * rated.sendSeconds / 8 / FULL_BYTES;
    const filled = filledShare(rated.sentAtMs, {
      packetBytes: FULL_BYTES,
      rateBitsPerSecond: rate,
      queueBytes: profile.forward.queueBytes,
      fromMs: rated.sentAtMs[0] + SETTLE_MS,
    });

    const { packetBytes, packetsPerSecond } = paceFor(rate);
    const lossy = await crossing({ client, server, counters, tailMs }, {
      packets: lossPackets,
      packetBytes,
      perSecond: packetsPerSecond,
    });
    const where = { emulator: "relay", profile: profile.name } as const;
    const rateComputer = computerOf({ ...rated, wanted });
    const lossComputer = computerOf({ ...lossy, wanted: lossPackets });
    // What the kernel dropped before the relay or behind it met no link.
    const lost = lossy.offered - lossy.delivered - lossy.queued;
    return [
      finding({ ...where, computer: lossComputer }, "delay", {
        expected: profile.forward.delayMs,
        measured: delayMs,
      }),
      finding({ ...where, computer: rateComputer }, "rate, UDP", {
        expected: rate * filled,
        measured: rateOf(rated.arrivals, FULL_BYTES),
      }),
      finding({ ...where, computer: lossComputer }, "loss", {
        expected: lossOf(profile.forward),
        measured: lost / lossy.offered,
        packets: lossy.offered,
      }),
    ];
  } finally {
    await Deno.remove(counters);
  }
}

interface Ends {
  readonly client: Sender;
  readonly server: Receiver;
  /** File that the relay writes its counters to. */
  readonly counters: string;
  readonly tailMs: number;
}

/** Packets through the relay, counted at both ends and by the relay itself. */
async function crossing(
  { client, server, counters, tailMs }: Ends,
  flow: Flow,
): Promise<Crossing> {
  server.take();
  const before = await readCounters(counters);
  const startMs = performance.now();
  const sentAtMs = await client.send(flow);
  const sendSeconds = (performance.now() - startMs) / 1000;
  await pause(tailMs);
  const after = await readCounters(counters);
  const arrivals = server.take();
  const of = (value: (counters: RelayCounters) => number) => value(after) - value(before);
  const offered = of(({ forward }) => forward.offeredPackets);
  const delivered = of(({ forward }) => forward.deliveredPackets);
  return {
    sendSeconds,
    sentAtMs,
    arrivals,
    sent: flow.packets,
    dropped: Math.max(0, flow.packets - offered) + Math.max(0, delivered - arrivals.length),
    offered,
    delivered,
    queued: of(({ forward }) => forward.droppedPackets.queue),
    late: of(({ latePackets }) => latePackets),
  };
}

interface Flow {
  readonly packets: number;
  readonly packetBytes: number;
  readonly perSecond: number;
}

interface Crossing {
  readonly sendSeconds: number;
  readonly sentAtMs: readonly number[];
  readonly arrivals: readonly Arrival[];
  readonly sent: number;
  /** By sockets, before the relay or behind it. */
  readonly dropped: number;
  readonly offered: number;
  readonly delivered: number;
  readonly queued: number;
  readonly late: number;
}

interface Arrival {
  readonly atMs: number;
  readonly delayMs: number;
}

/** Notes when packets come, and how long they took: they carry the time of their sending. */
class Receiver implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  #arrivals: Arrival[] = [];

  constructor() {
    growReceiveBuffer((this.#socket.addr as Deno.NetAddr).port);
    void this.#receive();
  }

  get address(): string {
    const { hostname, port } = this.#socket.addr as Deno.NetAddr;
    return `${hostname}:${port}`;
  }

  /** What has come since the last time. */
  take(): Arrival[] {
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    return arrivals;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #receive(): Promise<void> {
    for await (const [bytes] of this.#socket) {
      const atMs = performance.now();
      const sentMs = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
      this.#arrivals.push({ atMs, delayMs: atMs - sentMs });
    }
  }
}

class Sender implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #to: Deno.NetAddr;

  constructor(address: string) {
    const [hostname, port] = address.split(":");
    this.#to = { transport: "udp", hostname, port: Number(port) };
  }

  /** Evenly, some in each millisecond. @returns when each left, ms */
  async send({ packets, packetBytes, perSecond }: Flow): Promise<readonly number[]> {
    const bytes = new Uint8Array(packetBytes - HEADER_BYTES);
    const view = new DataView(bytes.buffer);
    const startMs = performance.now();
    const sentAtMs: number[] = [];
    for (let sent = 0; sent < packets;) {
      const due = Math.min(packets, (performance.now() - startMs) * perSecond / 1000);
      for (; sent < due; sent++) {
        const nowMs = performance.now();
        sentAtMs.push(nowMs);
        view.setFloat64(0, nowMs);
        await this.#socket.send(bytes, this.#to);
      }
      await pause(1);
    }
    return sentAtMs;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** From the moment on that the queue is full until sending ended. */
function rateOf(arrivals: readonly Arrival[], packetBytes: number): number {
  const fromMs = arrivals[0].atMs + SETTLE_MS;
  const steady = arrivals.filter(({ atMs }) => atMs >= fromMs);
  const ms = steady[steady.length - 1].atMs - steady[0].atMs;
  return (steady.length - 1) * packetBytes * 8000 / ms;
}

async function readCounters(path: string): Promise<RelayCounters> {
  return JSON.parse(await Deno.readTextFile(path));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
