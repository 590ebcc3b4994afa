import type { RelayCounters } from "../../src/emulator/udp_relay.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import {
  compareDisks,
  type DiskComparison,
  syncedSequences,
} from "../../src/testing/disk_comparison.ts";
import { startEchoProbe } from "../../src/testing/echo_probe/probe.ts";
import {
  type EchoRecord,
  longestSilences,
  probeStallMs,
  type Silence,
} from "../../src/testing/echo_probe/silence.ts";
import { raisePriority } from "../../src/testing/priority.ts";
import { machinePids, RealSites } from "../../src/testing/real_sites.ts";
import { createStretchedLan, MACHINE_ADDRESS } from "../../src/testing/stretched_lan.ts";
import {
  type MachineEnd,
  machineEnd,
  type MachineSize,
} from "../../src/testing/travelling_machine.ts";

export interface MoveSettings {
  readonly profile: string;
  readonly seed: number;
  readonly size: MachineSize & { readonly workload: { readonly diskBlockKiB: number } };
  readonly maxDowntimeMs: number;
  readonly probeIntervalMs: number;
  /**
   * The move is held in sync, the workload stopped and synced, and only then is it switched over: the
   * images must be equal to the last byte. Otherwise the machine stays busy all the time.
   */
  readonly held: boolean;
  readonly timeLimitMs: number;
  /** The machines go before other work of this computer; they have sessions of their own. */
  readonly raisePriority?: boolean;
}

/** One move, measured from inside and outside; one line of the result file. */
export interface MoveResult {
  readonly held: boolean;
  readonly state: string;
  readonly error: MigrationReport["error"];
  readonly totalMs: number | null;
  readonly reportedDowntimeMs: number | null;
  /** Longest time without an echo from the machine around the switch; null where it did not switch. */
  readonly observedDowntimeMs: number | null;
  readonly predictedDowntimeMs: number | null;
  /** What the last decision to switch rested on, the parts of the forecast among it. */
  readonly switchNumbers: Readonly<Record<string, number | null>> | null;
  /** Longest silence while the machine ran: what the observation cannot tell from a pause. */
  readonly noiseMs: number;
  readonly probeStallMs: number;
  /** IP packets that left the bottleneck, in both directions. */
  readonly wireBytes: number;
  readonly sentPackets: number;
  /** Of those offered from source to destination; the bottleneck's own queue dropped them. */
  readonly queueDropRatio: number;
  readonly lossDroppedPackets: number;
  readonly switchesUndone: number;
  readonly verify: string;
  readonly synced: { readonly atSwitch: number; readonly last: number; readonly missing: number[] };
  readonly disk: DiskComparison | null;
  readonly timeline: unknown;
  /** Everything held: the machine verified itself, no block was lost, both figures agree. */
  readonly ok: boolean;
}

/** Reported and observed downtime must agree within this (issue 2). */
export const AGREEMENT_MS = 100;
const SETTLE_MS = 1_500;
const PROBE_AROUND_MS = 1_000;

/** Sets two sites up, moves a busy machine from `a` to `b` and takes everything down again. */
export async function oneMove(
  settings: MoveSettings,
  say: (message: string) => void = () => {},
): Promise<MoveResult> {
  await using lan = await createStretchedLan();
  await using sites = await RealSites.start(settings.profile, settings.seed);
  using a = await machineEnd(sites.a, "source", settings.size, lan.sites.a);
  using b = await machineEnd(sites.b, "incoming", settings.size, lan.sites.b);
  await sites.a.api.call("PUT", "/guests/vm", a.definition);
  await sites.b.api.call("PUT", "/guests/vm", b.definition);
  if (settings.raisePriority) {
    for (const site of [sites.a, sites.b]) {
      for (const pid of await machinePids(site.directory)) await raisePriority(pid);
    }
  }
  await a.waitReady();
  say("machine runs at a");
  await using probe = startEchoProbe(lan.client, MACHINE_ADDRESS, settings.probeIntervalMs);
  await pause(PROBE_AROUND_MS);

  const before = await sites.counters();
  const report = await move(sites, a, settings, say);
  await pause(SETTLE_MS);
  const after = await sites.counters();
  const record = await probe.finish();
  say(`${report.state} after ${report.totalMs} ms`);

  const arrived = report.state === "completed";
  const verify = await (arrived ? b : a).channel.ask("verify", 120_000);
  say(verify);
  const seen = { report, record, before, after, verify };
  if (!arrived) return result(settings, seen, syncedSequences(await a.console(), ""), null);
  await sites.b.api.call("DELETE", "/guests/vm?end=true");
  const synced = syncedSequences(await a.console(), await b.console());
  const disk = await compareDisks(
    a.diskPath,
    b.diskPath,
    settings.size.workload.diskBlockKiB * 1024,
    settings.held ? null : synced.atSwitch,
  );
  return result(settings, seen, synced, disk);
}

async function move(
  sites: RealSites,
  source: MachineEnd,
  { held, maxDowntimeMs, timeLimitMs }: MoveSettings,
  say: (message: string) => void,
): Promise<MigrationReport> {
  const { api } = sites.a;
  const { id } = await api.call<MigrationReport>("POST", "/migrations", {
    guest: "vm",
    to: "b",
    maxDowntimeMs,
    hold: held,
  });
  const ended = (report: MigrationReport) =>
    ["completed", "failed", "cancelled"].includes(report.state);
  if (held) {
    await api.until(id, (report) => ended(report) || report.state === "holding", timeLimitMs);
    for (const command of ["stop-workload", "sync"]) await source.channel.ask(command);
    say("in sync, workload stopped");
    await api.call("POST", `/migrations/${id}/switchover`);
  }
  return await api.until(id, ended, timeLimitMs);
}

interface Seen {
  readonly report: MigrationReport;
  readonly record: EchoRecord;
  readonly before: RelayCounters;
  readonly after: RelayCounters;
  readonly verify: string;
}

function result(
  { held }: MoveSettings,
  { report, record, before, after, verify }: Seen,
  synced: MoveResult["synced"],
  disk: DiskComparison | null,
): MoveResult {
  const downtime = report.state === "completed" ? silenceOfSwitch(report, record) : null;
  const noise = longestSilences(record).find(({ startMs }) => startMs !== downtime?.startMs);
  const reportedDowntimeMs = report.downtimeMs;
  const observedDowntimeMs = downtime && Math.round(downtime.silentMs);
  const sentPackets = after.forward.offeredPackets - before.forward.offeredPackets;
  const queueDrops = after.forward.droppedPackets.queue - before.forward.droppedPackets.queue;
  const agree = reportedDowntimeMs !== null && observedDowntimeMs !== null &&
    Math.abs(reportedDowntimeMs - observedDowntimeMs) <= AGREEMENT_MS;
  return {
    held,
    state: report.state,
    error: report.error,
    totalMs: report.totalMs,
    reportedDowntimeMs,
    observedDowntimeMs,
    predictedDowntimeMs: report.predictedDowntimeMs,
    switchNumbers: report.decisions.findLast(({ action }) => action === "switch")?.numbers ?? null,
    noiseMs: Math.round(noise?.silentMs ?? 0),
    probeStallMs: Math.round(probeStallMs(record)),
    wireBytes: after.forward.wireBytes - before.forward.wireBytes +
      after.backward.wireBytes - before.backward.wireBytes,
    sentPackets,
    queueDropRatio: sentPackets === 0 ? 0 : queueDrops / sentPackets,
    lossDroppedPackets: after.forward.droppedPackets.loss - before.forward.droppedPackets.loss,
    switchesUndone: report.decisions.filter(({ action }) => action === "undo the switch").length,
    verify,
    synced,
    disk,
    timeline: (report as { timeline?: unknown }).timeline ?? null,
    ok: agree && verify.startsWith("verify ok ") && synced.missing.length === 0 &&
      disk !== null && disk.wrongBlocks.length === 0,
  };
}

/** The longest silence from the last decision to switch on: earlier ones are no part of the move. */
function silenceOfSwitch(report: MigrationReport, record: EchoRecord): Silence | null {
  const decided = report.decisions.findLast(({ action }) => action === "switch");
  const sinceMs = Date.parse(decided?.at ?? report.startedAt) - record.startedWallMs;
  return longestSilences(record, record.sentAtMs.length)
    .find(({ endMs }) => endMs >= sinceMs) ?? null;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
