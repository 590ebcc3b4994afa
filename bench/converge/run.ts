import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { startEchoProbe } from "../../src/testing/echo_probe/probe.ts";
import { type EchoRecord, longestSilences } from "../../src/testing/echo_probe/silence.ts";
import { createNamespace, namespaceNamed } from "../../src/testing/netns.ts";
import { layLan, MACHINE_ADDRESS, PREFIX_LENGTH, TAP } from "../../src/testing/stretched_lan.ts";
import type { WanProfile } from "../../src/emulator/settings.ts";
import { Arena } from "../bytes/arena.ts";
import { CausewayGateways } from "../bytes/causeway.ts";
import { metered, type Patience } from "../bytes/contestant.ts";
import { Machine, type MachineEnd } from "../bytes/machine.ts";
import { QemuAlone } from "../bytes/qemu_alone.ts";
import { CALM, type Contestant, type Load, STORM_STEP_BYTES } from "./loads.ts";
import type { ConvergeRun } from "./report.ts";

export interface ConvergeSettings {
  readonly profile: WanProfile;
  readonly seed: number;
  readonly patience: Patience;
  readonly maxDowntimeMs: number;
  readonly size: {
    readonly memoryMiB: number;
    readonly diskMiB: number;
    readonly baseMiB: number;
  };
}

const MAC = "52:54:00:79:00:03";
const PROBE_INTERVAL_MS = 5;
const WARM_UP_MS = 4_000;
const SETTLE_MS = 1_500;
const POLL_MS = 200;
/** From the decision to switch until the machine stands still, at most. */
const RELEASE_MS_MAX = 1_000;
const SILENCES_KEPT = 8;

/** What came of the move, before the machine was looked at from outside. */
interface Outcome extends
  Pick<
    ConvergeRun,
    | "end"
    | "note"
    | "reportedDowntimeMs"
    | "predictedDowntimeMs"
    | "budgetMs"
    | "cpuShare"
    | "diskBytesPerSecond"
    | "decisions"
  > {
  /** Where it runs now. */
  readonly arrived: MachineEnd | null;
  /** Wall clock; the pause of the switch did not end before it. */
  readonly switchedAtWallMs: number | null;
}

/** Boots a machine, lets the storm loose, moves it, and takes everything down again. */
export async function convergeRun(
  load: Load,
  contestant: Contestant,
  settings: ConvergeSettings,
  owned: AsyncDisposableStack,
): Promise<ConvergeRun> {
  const { profile, seed, patience } = settings;
  const arena = owned.use(await Arena.open(profile, seed));
  const client = owned.use(await createNamespace("client"));
  const { a, b } = arena.sites;
  await layLan(client, { a: namespaceNamed(a.netns), b: namespaceNamed(b.netns) });
  const gateways = "qemu" in contestant
    ? null
    : owned.use(await CausewayGateways.start(arena, patience));
  const machine = owned.use(
    await Machine.boot(arena, {
      ...settings.size,
      id: "vm",
      workload: { ...load.workload, seed },
      network: { tap: TAP, mac: MAC, ip: `${MACHINE_ADDRESS}/${PREFIX_LENGTH}` },
    }),
  );
  await machine.here.channel.ask(`run (${load.storm}) >/dev/null 2>&1 &`);
  await pause(WARM_UP_MS);
  const quiet = await stormRate(machine.here, WARM_UP_MS);
  const probe = owned.use(startEchoProbe(client, MACHINE_ADDRESS, PROBE_INTERVAL_MS));
  await pause(SETTLE_MS);

  const [fromMs, fromSteps] = [performance.now(), await stormSteps(machine.here)];
  const { value: outcome, meter } = await metered(
    arena,
    () =>
      gateways === null || "qemu" in contestant
        ? qemuMove(machine, arena, contestant as Contestant & { qemu: never }, patience)
        : causewayMove(machine, gateways, contestant, settings),
  );
  const writtenBytes = (await stormSteps(outcome.arrived ?? machine.here) - fromSteps) *
    STORM_STEP_BYTES;
  const meanwhile = writtenBytes * 1000 / (performance.now() - fromMs);
  await pause(SETTLE_MS);
  const record = await probe.finish();
  if (outcome.arrived !== null) await machine.arrivedAt(outcome.arrived);
  // A machine under a storm takes its time to look at itself.
  await machine.here.channel.ask(`run ${CALM}`);
  const verified = await machine.verify();
  const { arrived: _arrived, switchedAtWallMs, ...figures } = outcome;
  return {
    load: load.name,
    contestant: contestant.name,
    seed,
    hostLoad: Deno.loadavg()[0],
    ...figures,
    ...silences(record, switchedAtWallMs, outcome.end, outcome.reportedDowntimeMs),
    wireBytes: meter.wireBytes,
    totalMs: meter.totalMs,
    writtenBytesPerSecond: Math.round(quiet),
    writtenMeanwhileBytesPerSecond: Math.round(meanwhile),
    roundTripMs: profile.forward.delayMs + profile.backward.delayMs,
    verified,
  };
}

async function qemuMove(
  machine: Machine,
  arena: Arena,
  { qemu }: Extract<Contestant, { qemu: unknown }>,
  patience: Patience,
): Promise<Outcome> {
  // A mirror that is not in step by then is not going to be.
  const timeLimitMs = 2 * patience.convergenceMs;
  const alone = new QemuAlone(qemu, arena, { ...patience, timeLimitMs });
  const nothing = { predictedDowntimeMs: null, budgetMs: null, diskBytesPerSecond: null };
  let cpuShare: number | null = null;
  const source = machine.here.qmp;
  const watch = setInterval(async () => {
    const info = await source.execute("query-migrate").catch(() => ({})) as Record<string, number>;
    const percent = info["cpu-throttle-percentage"];
    if (percent > 0) cpuShare = Math.max(cpuShare ?? 0, percent / 100);
  }, 1_000);
  try {
    const { cost, end } = await alone.move(machine, "b");
    return {
      ...nothing,
      end: cost.converged ? "converged" : "forced",
      note: cost.converged ? "" : `stopped after ${patience.convergenceMs / 1000} s`,
      reportedDowntimeMs: cost.detail.downtimeMs as number | null,
      cpuShare,
      decisions: [{ action: "passes", reason: String(cost.detail.passes) }],
      arrived: end,
      switchedAtWallMs: null,
    };
  } catch (error) {
    // A mirror that never comes into step: nothing was switched, the machine runs where it was.
    return {
      ...nothing,
      end: "ended",
      note: (error as Error).message,
      reportedDowntimeMs: null,
      cpuShare,
      decisions: [],
      arrived: null,
      switchedAtWallMs: null,
    };
  } finally {
    clearInterval(watch);
  }
}

async function causewayMove(
  machine: Machine,
  gateways: CausewayGateways,
  { options, accepts = false }: Extract<Contestant, { options: unknown }>,
  { maxDowntimeMs, patience }: ConvergeSettings,
): Promise<Outcome> {
  const { id, api, end } = await gateways.request(machine, "b", { ...options, maxDowntimeMs });
  const deadlineMs = performance.now() + patience.timeLimitMs;
  let cpuShare: number | null = null;
  let diskBytesPerSecond: number | null = null;
  let report: MigrationReport;
  for (;;) {
    report = await api.migration(id);
    cpuShare = report.throttle.cpuShare ?? cpuShare;
    diskBytesPerSecond = report.throttle.diskBytesPerSecond ?? diskBytesPerSecond;
    if (ENDED_STATES.includes(report.state)) break;
    if (report.question !== null && accepts) {
      await api.request("POST", `/migrations/${id}/answer`, { accept: true });
    }
    if (performance.now() > deadlineMs) {
      await api.call("POST", `/migrations/${id}/cancel`);
      report = await api.until(id, ({ state }) => ENDED_STATES.includes(state), 60_000);
      break;
    }
    await pause(POLL_MS);
  }
  const completed = report.state === "completed";
  if (!completed) await end.end();
  const switched = report.decisions.findLast(({ action }) => action === "switch");
  return {
    end: completed ? "converged" : "ended",
    note: report.error === null ? "" : `${report.error.code}: ${report.error.message}`,
    reportedDowntimeMs: report.downtimeMs,
    predictedDowntimeMs: report.predictedDowntimeMs,
    budgetMs: report.maxDowntimeMs,
    cpuShare,
    diskBytesPerSecond,
    decisions: report.decisions,
    arrived: completed ? end : null,
    switchedAtWallMs: completed && switched ? Date.parse(switched.at) : null,
  };
}

/**
 * Tells the silence of the switch from others: a machine whose processor is slowed, or that wakes up
 * under a storm, is late at times.
 *
 * @param switchedAtWallMs when that was decided; null: it was not, or by nobody who says when
 */
export function silences(
  record: EchoRecord,
  switchedAtWallMs: number | null,
  end: ConvergeRun["end"],
  reportedDowntimeMs: number | null,
): Pick<ConvergeRun, "observedDowntimeMs" | "noiseMs" | "silences"> {
  const all = longestSilences(record, record.sentAtMs.length);
  const decidedMs = switchedAtWallMs === null ? null : switchedAtWallMs - record.startedWallMs;
  const latestMs = (decidedMs ?? 0) + RELEASE_MS_MAX + (reportedDowntimeMs ?? 0);
  // QEMU alone does not say when: its pause is the longest of all.
  const downtime = end === "ended"
    ? null
    : decidedMs === null
    ? all[0]
    : all.find((silence) => silence.endMs >= decidedMs && silence.startMs <= latestMs) ?? null;
  const noise = all.find((silence) => silence !== downtime);
  return {
    observedDowntimeMs: downtime && Math.round(downtime.silentMs),
    noiseMs: Math.round(noise?.silentMs ?? 0),
    silences: all.slice(0, SILENCES_KEPT).map(({ startMs, silentMs }) => ({
      atMs: Math.round(startMs - (decidedMs ?? 0)),
      silentMs: Math.round(silentMs),
    })),
  };
}

/** Bytes per second over some time. */
async function stormRate(end: MachineEnd, ms: number): Promise<number> {
  const [fromMs, from] = [performance.now(), await stormSteps(end)];
  await pause(ms);
  const steps = await stormSteps(end) - from;
  return steps * STORM_STEP_BYTES * 1000 / (performance.now() - fromMs);
}

async function stormSteps(end: MachineEnd): Promise<number> {
  const answer = await end.channel.ask("run cat /run/cw/storm.count");
  return Number(/(\d+)/.exec(answer)?.[1] ?? 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
