/**
 * What clients see of a move whose addresses follow, and what carrying packets costs. Real QEMU
 * machines on TAP, kernel TCP, IPv4 and IPv6, two gateway processes and an emulated WAN, in network
 * namespaces (src/testing/redirect_world.ts). Root only.
 *
 *     bench/redirect.ts [--profiles A,B] [--means tunnel,kernel] [--parts move,carry,kills,blocked]
 *                       [--seconds 5] [--quick] [--json FILE]
 */
import { parseArgs } from "node:util";
import { loadProfile } from "../src/emulator/load_profile.ts";
import { ENDED_STATES, type MigrationReport } from "../src/migration/report.ts";
import { longestSilences } from "../src/testing/echo_probe/silence.ts";
import { startEchoProbe } from "../src/testing/echo_probe/probe.ts";
import type { NetworkNamespace } from "../src/testing/netns.ts";
import { MACHINE, PORTS, RedirectWorld } from "../src/testing/redirect_world.ts";
import { startTcpClient } from "../src/testing/tcp_client/client.ts";
import type { ClientRecord, FlowRecord } from "../src/testing/tcp_client/record.ts";
import { blocked } from "./redirect/blocked.ts";
import { killed } from "./redirect/kills.ts";
import { setting } from "./setting.ts";

const PROFILES = ["metro", "transatlantic", "lossy-intercontinental"];
const MOVE_MS_MAX = 240_000;
const BEFORE_MS = 3_000;
const AFTER_MS = 4_000;
const DRAIN = { idleMs: 2_000, limitMs: 120_000 };

const { values } = parseArgs({
  args: Deno.args,
  options: {
    profiles: { type: "string" },
    means: { type: "string" },
    parts: { type: "string" },
    seconds: { type: "string", default: "5" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const profiles = (values.profiles ?? (values.quick ? "metro" : PROFILES.join(","))).split(",");
const carrying = (values.means ?? "tunnel,kernel").split(",") as ("tunnel" | "kernel")[];
const parts = (values.parts ?? (values.quick ? "carry" : "move,carry")).split(",");
const seconds = values.quick ? 1 : Number(values.seconds);

interface FlowResult {
  readonly family: string;
  /** The longest time without an answer that covers the pause, and of all others. */
  readonly echoGapMs: number;
  readonly downloadGapMs: number;
  readonly otherEchoGapMs: number;
  readonly reconnects: number;
  readonly connects: number;
  readonly failedConnects: number;
}
type Result =
  & { readonly part: string; readonly profile: string; readonly means: string }
  & Record<
    string,
    unknown
  >;

const results: Result[] = [];
for (const profile of profiles) {
  const { forward, backward } = await loadProfile(profile);
  const roundTripMs = forward.delayMs + backward.delayMs;
  for (const means of carrying) {
    for (const part of parts) {
      try {
        const of = { part, profile, means, roundTripMs };
        const result = part === "move"
          ? await moved(profile, means)
          : part === "kills"
          ? { kills: await killed(profile, means) }
          : part === "blocked"
          ? { blocked: await blocked(profile) }
          : await carried(profile, means);
        results.push({ ...of, ...result });
      } catch (error) {
        console.error(`${profile}, ${means}, ${part}: FAILED, ${(error as Error).message}`);
        Deno.exitCode = 1;
      }
      if (values.json) {
        await Deno.writeTextFile(
          values.json,
          JSON.stringify({ ...await setting(), results }, null, 2),
        );
      }
    }
  }
}

/** One move under clients of both families. */
async function moved(profile: string, means: "tunnel" | "kernel"): Promise<object> {
  await using world = await RedirectWorld.start(profile, means);
  await world.boot(DRAIN);
  await using clients = new AsyncDisposableStack();
  const probe = clients.use(startEchoProbe(world.client, MACHINE.ipv4, 10));
  const running = Object.entries(MACHINE).map(([family, ip]) => ({
    family,
    // A machine without KVM that takes 40 connections a second does little else.
    client: clients.use(
      startTcpClient(world.client, ip, PORTS, { connectMs: family === "ipv4" ? 50 : 1_000 }),
    ),
  }));
  await pause(BEFORE_MS);
  const id = await world.move("a");
  const report = await ended(world, id);
  await pause(AFTER_MS);
  const view = (await world.redirect("a", id))!;
  const pausedWallMs = Date.parse(view.history.find(({ kind }) => kind === "switched")!.at);
  const flows: FlowResult[] = [];
  for (const { family, client } of running) {
    flows.push(flowResult(family, await client.finish(), pausedWallMs));
  }
  const [silence] = longestSilences(await probe.finish(), 1);
  for (const site of ["a", "b"] as const) await world.untilRedirect(site, id, "retired", 60_000);
  const { downtimeMs } = report;
  const there = await world.redirect("b", id);
  for (const flow of flows) {
    console.log(
      `${profile}, ${means}, ${flow.family}: pause ${downtimeMs} ms, echo ${flow.echoGapMs} ms, ` +
        `download ${flow.downloadGapMs} ms, ICMP ${Math.round(silence.silentMs)} ms ` +
        `(longest other echo gap ${flow.otherEchoGapMs} ms), ${flow.reconnects} reconnects, ` +
        `${flow.failedConnects} of ${flow.connects} new connections failed, ` +
        `kept ${view.kept?.packets ?? "-"} packets, ` +
        `probes: ${view.reach?.blackoutMs ?? "-"} and ${there?.reach?.blackoutMs ?? "-"} ms`,
    );
  }
  const history = { old: view.history, new: there?.history ?? [] };
  return { downtimeMs, silenceMs: silence.silentMs, flows, kept: view.kept, history };
}

/** Throughput and latency once the machine is away, by a host that is as fast as this computer. */
async function carried(profile: string, means: "tunnel" | "kernel"): Promise<object> {
  await using world = await RedirectWorld.start(profile, means);
  const host = await world.stand(DRAIN);
  await world.place(host, "a");
  const id = await world.move("a");
  await ended(world, id);
  await world.place(host, "b");
  await world.untilRedirect("a", id, "draining");
  const echoes = startEchoProbe(world.client, MACHINE.ipv4, 10);
  await pause(seconds * 1000);
  const { sentAtMs, answeredAtMs } = await echoes.finish();
  const times = answeredAtMs.flatMap((atMs, n) => atMs === null ? [] : [atMs - sentAtMs[n]])
    .sort((x, y) => x - y);
  const at = (share: number) => Math.round(times[Math.floor(times.length * share)] * 10) / 10;
  const [toMachine, fromMachine] = [
    await iperf(world, host, false),
    await iperf(world, host, true),
  ];
  console.log(
    `${profile}, ${means}: ICMP p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; ` +
      `TCP to the machine ${toMachine} Mbit/s, from it ${fromMachine} Mbit/s`,
  );
  return { p50Ms: at(0.5), p99Ms: at(0.99), toMachine, fromMachine };
}

async function iperf(world: RedirectWorld, host: NetworkNamespace, reverse: boolean) {
  const [program, ...args] = host.argv("iperf3", "-s", "-1");
  const server = new Deno.Command(program, { args, stdout: "null", stderr: "null" }).spawn();
  await pause(300);
  try {
    const text = await world.client.run(
      ...["iperf3", "-J", "-c", MACHINE.ipv4, "-t", `${seconds}`, "-C", "bbr"],
      ...(reverse ? ["-R"] : []),
    );
    return Math.round(JSON.parse(text).end.sum_received.bits_per_second / 1e5) / 10;
  } finally {
    try {
      server.kill("SIGKILL");
    } catch {
      // It has ended after its one client.
    }
    await server.status;
  }
}

function flowResult(
  family: string,
  { startedWallMs, echo, download, connects }: ClientRecord,
  pausedWallMs: number,
): FlowResult {
  const pausedMs = pausedWallMs - startedWallMs;
  const around = ({ gaps }: FlowRecord) =>
    gaps.find(({ ms, atMs }) => atMs <= pausedMs + 500 && atMs + ms >= pausedMs)?.ms ?? 0;
  const echoGapMs = around(echo);
  return {
    family,
    echoGapMs,
    downloadGapMs: around(download),
    otherEchoGapMs: echo.gaps.find(({ ms }) => ms !== echoGapMs)?.ms ?? 0,
    reconnects: [echo, download].filter(({ error }) => error !== null).length,
    connects: connects.length,
    failedConnects: connects.filter(({ tookMs }) => tookMs === null).length,
  };
}

async function ended(world: RedirectWorld, id: string): Promise<MigrationReport> {
  const { api } = world.site("a");
  const report = await api.until(id, ({ state }) => ENDED_STATES.includes(state), MOVE_MS_MAX);
  if (report.state === "completed") return report;
  throw new Error(`the move ended as ${report.state}: ${report.error?.message}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
