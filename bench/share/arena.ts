import type { WanProfile } from "../../src/emulator/settings.ts";
import { startTunLink } from "../../src/emulator/tun_link.ts";
import {
  DEVICE,
  LEFT_ADDRESS,
  makeSites,
  NETWORK,
  PORT,
  RIGHT_ADDRESS,
  startEnd,
} from "../goodput/ends.ts";
import type { EndLine } from "../goodput/messages.ts";
import { namespacePair, useCongestionControl } from "../goodput/namespaces.ts";
import type { LinkPlan } from "./plan.ts";

const TCP_PORT = PORT + 1;
const WIRE_SAMPLE_MS = 100;

/** A total at a time, ms since 1970. */
export interface Total {
  readonly epochMs: number;
  readonly bytes: number;
}

/** Everything that was seen of one run. */
export interface Run {
  /** IP bytes that were offered to the link, whoever sent them. */
  readonly wire: readonly Total[];
  /** Payload that arrived of the moves, and by move. */
  readonly moves: readonly Total[];
  readonly eachMove: readonly { readonly epochMs: number; readonly bytes: Map<string, number> }[];
  /** Payload that arrived over TCP. */
  readonly tcp: readonly Total[];
  /** What the sender printed every 100 ms: path and caps. */
  readonly trace: readonly { readonly [field: string]: unknown }[];
  readonly queueDropRatio: number;
}

export interface RunOptions {
  readonly profile: WanProfile;
  readonly seed: number;
  /** What we send; null: nothing. */
  readonly plan: LinkPlan | null;
  /** How long one TCP connection (cubic) sends in the same direction; 0: there is none. */
  readonly tcpSeconds: number;
}

/** One run over a fresh link. TCP begins when the moves have begun. */
export async function runShared({ profile, seed, plan, tcpSeconds }: RunOptions): Promise<Run> {
  await using namespaces = await namespacePair();
  await using link = await startTunLink({
    profile,
    seed,
    left: { netns: namespaces.left, device: DEVICE, address: `${LEFT_ADDRESS}/24` },
    right: { netns: namespaces.right, device: DEVICE, address: `${RIGHT_ADDRESS}/24` },
  });
  await useCongestionControl(namespaces.left, DEVICE, NETWORK, "cubic");
  const dir = await Deno.makeTempDir({ prefix: "causeway-share-" });
  const wire: Total[] = [];
  let isAsking = false;
  const sampler = setInterval(async () => {
    if (isAsking) return;
    isAsking = true;
    const { forward } = await link.counters();
    wire.push({ epochMs: now(), bytes: forward.offeredBytes });
    isAsking = false;
  }, WIRE_SAMPLE_MS);
  try {
    let ours = { sent: [] as EndLine[], received: [] as EndLine[] };
    let tcp: EndLine[] = [];
    const moving = async (begun: () => void) => {
      if (plan === null) return begun();
      const { left, right } = await makeSites(dir);
      const receiver = startEnd(namespaces.right, [
        "../share/link_end.ts",
        "receive",
        right,
        "left",
      ]);
      await receiver.listening;
      const args = ["../share/link_end.ts", "send", left, "right", JSON.stringify(plan)];
      const sender = startEnd(namespaces.left, args, ({ event }) => event === "sending" && begun());
      const sent = await sender.lines;
      // For the case that it failed before it began.
      begun();
      receiver.stop();
      ours = { sent, received: await receiver.lines };
    };
    const downloading = async (begun: Promise<void>) => {
      if (tcpSeconds === 0) return;
      const address = `${RIGHT_ADDRESS}:${TCP_PORT}`;
      const receiver = startEnd(namespaces.right, ["tcp_end.ts", "receive", address]);
      await receiver.listening;
      await begun;
      await startEnd(namespaces.left, ["tcp_end.ts", "send", address, String(tcpSeconds)]).lines;
      receiver.stop();
      tcp = await receiver.lines;
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    await Promise.all([moving(resolve), downloading(promise)]);
    if (plan !== null && !ours.sent.some(({ event }) => event === "done")) {
      throw new Error("The sending end failed, see above");
    }
    const { forward } = await link.counters();
    const traces = (lines: EndLine[]) => lines.filter((line) => line.event === "trace");
    return {
      wire,
      moves: totals(ours.received),
      eachMove: traces(ours.received).map((line) => ({
        epochMs: line.epochMs as number,
        bytes: new Map(line.bytes as [string, number][]),
      })),
      tcp: totals(tcp),
      trace: traces(ours.sent),
      queueDropRatio: forward.droppedPackets.queue / Math.max(1, forward.offeredPackets),
    };
  } finally {
    clearInterval(sampler);
    await Deno.remove(dir, { recursive: true });
  }
}

/** Bytes per second between two times, by the samples that are next to them; 0 without any. */
export function rateBetween(totals: readonly Total[], fromMs: number, toMs: number): number {
  const within = totals.filter(({ epochMs }) => epochMs >= fromMs && epochMs <= toMs);
  const [first, last] = [within[0], within.at(-1)];
  if (!first || !last || last.epochMs <= first.epochMs) return 0;
  return (last.bytes - first.bytes) * 1000 / (last.epochMs - first.epochMs);
}

function totals(lines: readonly EndLine[]): Total[] {
  return lines.filter((line) => line.event === "received")
    .map(({ epochMs, bytes }) => ({ epochMs, bytes }));
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
