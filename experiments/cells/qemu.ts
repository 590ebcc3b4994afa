/**
 * One cell with a real machine: through two gateways, or by QEMU alone, over the same emulated link
 * between two namespaces. Reads a `CellOrder` on its standard input; root only.
 */
import { Arena, DEVICE, NETWORK } from "../../bench/bytes/arena.ts";
import { wholeContent } from "../../bench/bytes/bound.ts";
import { CausewayGateways } from "../../bench/bytes/causeway.ts";
import { metered, type Patience } from "../../bench/bytes/contestant.ts";
import { Machine, type MachineEnd } from "../../bench/bytes/machine.ts";
import { QemuAlone, type QemuSettingName } from "../../bench/bytes/qemu_alone.ts";
import { silences } from "../../bench/converge/run.ts";
import { useCongestionControl } from "../../bench/goodput/namespaces.ts";
import type { CellOrder } from "../../src/experiment/cell_process.ts";
import { limitOf } from "../../src/experiment/limit.ts";
import { peakBitsPerSecond } from "../../src/experiment/report/series.ts";
import {
  type CellFigures,
  type CellState,
  failedFigures,
  type Limit,
  type Sample,
} from "../../src/experiment/row.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { startEchoProbe } from "../../src/testing/echo_probe/probe.ts";
import { longestSilences } from "../../src/testing/echo_probe/silence.ts";
import { findGuestKernel } from "../../src/testing/guest_image/guest_kernel.ts";
import { createNamespace, namespaceNamed } from "../../src/testing/netns.ts";
import { qemuVersion } from "../../src/testing/qemu_process.ts";
import { layLan, MACHINE_ADDRESS, PREFIX_LENGTH, TAP } from "../../src/testing/stretched_lan.ts";
import { causewayView } from "./causeway_view.ts";
import { runCell } from "./cell_main.ts";
import { startFaults } from "./faults.ts";
import { roundTripOf } from "./round_trip.ts";
import { pause, Sampler } from "./sampler.ts";
import { stockView } from "./stock_view.ts";
import { stopAndLoadMs } from "./stop_and_load.ts";

const MAC = "52:54:00:79:00:07";
const PROBE_INTERVAL_MS = 5;
const SETTLE_MS = 1_500;
const POLL_MS = 100;
/** Where nobody ends a move by force, it may take as long as the cell. */
const NEVER_MS = 10 ** 9;
/** After a move was ended by force it still has to copy what is left. */
const FORCED_END_MS = 60_000;
const BLACKOUT_MS_MIN = 20;

/** What a mover says of its move. */
interface Outcome {
  readonly state: CellState;
  readonly note: string | null;
  readonly end: MachineEnd | null;
  readonly figures: Partial<CellFigures>;
  /** Wall clock; null where the mover does not say. */
  readonly switchedAtWallMs: number | null;
}

async function qemuCell(order: CellOrder, owned: AsyncDisposableStack): Promise<CellFigures> {
  const { cell, profile } = order;
  const { guest, workload, strategy } = cell;
  if (guest.kind !== "qemu") throw new Error("This cell is not one of a real machine");
  const patience: Patience = {
    convergenceMs: order.forceMs ?? NEVER_MS,
    timeLimitMs: order.forceMs === null ? order.timeLimitMs : order.forceMs + FORCED_END_MS,
  };
  const arena = owned.use(await Arena.open(profile, cell.seed));
  const { a, b } = arena.sites;
  const client = owned.use(await createNamespace("client"));
  await layLan(client, { a: namespaceNamed(a.netns), b: namespaceNamed(b.netns) });
  if (strategy.way === "qemu") {
    await useCongestionControl(a.netns, DEVICE, NETWORK, strategy.congestion);
  }
  const gateways = strategy.way === "causeway"
    ? owned.use(await CausewayGateways.start(arena, patience))
    : null;
  const machine = owned.use(
    await Machine.boot(arena, {
      id: "vm",
      memoryMiB: guest.memoryMiB,
      diskMiB: guest.diskMiB,
      baseMiB: guest.baseMiB,
      workload: { ...workload.qemu, seed: cell.seed },
      network: { tap: TAP, mac: MAC, ip: `${MACHINE_ADDRESS}/${PREFIX_LENGTH}` },
    }),
  );
  const roundTripMs = await roundTripOf(a.netns, b.address);
  await pause(order.warmUpMs);
  const limit = order.limit ? await limitIn(machine, profile) : null;
  const probe = owned.use(startEchoProbe(client, MACHINE_ADDRESS, PROBE_INTERVAL_MS));
  await pause(SETTLE_MS);

  const watch = owned.use(new MoveWatch(order, arena));
  const outcome = gateways === null
    ? await stockMove(machine, arena, patience, { cell, watch })
    : await causewayMove(machine, gateways, arena, patience, { cell, watch });
  await watch[Symbol.asyncDispose]();
  const { samples } = watch;
  if (outcome.end === null) {
    return { ...failedFigures(outcome.note ?? ""), ...outcome.figures, samples };
  }
  await pause(SETTLE_MS);
  const record = await probe.finish();
  await machine.arrivedAt(outcome.end);
  const verified = await machine.verify();
  const seen = silences(
    record,
    outcome.switchedAtWallMs,
    outcome.state === "forced" ? "forced" : "converged",
    outcome.figures.downtimeMs ?? null,
  );
  const { forward, latePackets, sentPackets } = await arena.counters();
  const { queue: _queue, ...lost } = forward.droppedPackets;
  const lostPackets = Object.values(lost).reduce((all, packets) => all + packets, 0);
  return {
    ...failedFigures(""),
    state: outcome.state,
    note: outcome.note,
    ...outcome.figures,
    observedDowntimeMs: seen.observedDowntimeMs,
    noiseMs: seen.noiseMs,
    stopAndLoadMs: strategy.way === "qemu"
      ? await stopAndLoadMs(machine, `${arena.directory}/local`)
      : null,
    verified,
    limit,
    link: {
      roundTripMs,
      peakBitsPerSecond: peakBitsPerSecond(samples),
      lossRatio: forward.wirePackets === 0 ? null : lostPackets / forward.wirePackets,
      lateRatio: sentPackets === 0 ? null : latePackets / sentPackets,
    },
    blackoutsMs: longestSilences(record, record.sentAtMs.length)
      .map(({ silentMs }) => Math.round(silentMs)).filter((ms) => ms >= BLACKOUT_MS_MIN),
    samples: samples,
    versions: { qemu: await qemuVersion(), guestKernel: findGuestKernel()?.release ?? null },
  };
}

/** Looks at a move from its beginning on, and lets the cell's faults happen. */
class MoveWatch implements AsyncDisposable {
  #sampler: Sampler | null = null;
  #faults: Disposable | null = null;

  constructor(private readonly order: CellOrder, private readonly arena: Arena) {}

  /** @param look what the mover says of itself */
  async begin(look: () => Promise<Omit<Sample, "atMs" | "wireBytes">>): Promise<void> {
    const { arena, order } = this;
    const startBytes = sum(await arena.wire());
    this.#sampler = new Sampler(order.sampleMs, async () => ({
      wireBytes: sum(await arena.wire()) - startBytes,
      ...await look(),
    }));
    this.#faults = startFaults(order.cell.faults.events, {
      outage: ({ durationMs, mode, direction }) =>
        arena.outage(durationMs, mode, direction === "both" ? undefined : direction),
      kill: () => {},
    });
  }

  get samples(): readonly Sample[] {
    return this.#sampler?.samples ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#faults?.[Symbol.dispose]();
    await this.#sampler?.[Symbol.asyncDispose]();
  }
}

async function stockMove(
  machine: Machine,
  arena: Arena,
  patience: Patience,
  { cell, watch }: { cell: CellOrder["cell"]; watch: MoveWatch },
): Promise<Outcome> {
  if (cell.strategy.way !== "qemu") throw new Error("QEMU does not move this one alone");
  const setting: QemuSettingName = `qemu-${cell.strategy.setting}`;
  const source = machine.here.qmp;
  try {
    const { cost, end } = await new QemuAlone(setting, arena, patience)
      .move(machine, "b", () => void watch.begin(() => stockView(source)));
    return {
      state: cost.converged ? "completed" : "forced",
      note: cost.converged ? null : `stopped after ${patience.convergenceMs / 1000} s`,
      end,
      figures: {
        totalMs: cost.totalMs,
        wireBytes: cost.wireBytes,
        downtimeMs: cost.detail.downtimeMs as number | null,
        memoryBytes: cost.memoryBytes,
        diskBytes: cost.diskBytes,
        rounds: cost.detail.passes as number | null,
      },
      switchedAtWallMs: null,
    };
  } catch (error) {
    const { message } = error as Error;
    return { state: "failed", note: message, end: null, figures: {}, switchedAtWallMs: null };
  }
}

async function causewayMove(
  machine: Machine,
  gateways: CausewayGateways,
  arena: Arena,
  { convergenceMs, timeLimitMs }: Patience,
  { cell, watch }: { cell: CellOrder["cell"]; watch: MoveWatch },
): Promise<Outcome> {
  if (cell.strategy.way !== "causeway") throw new Error("Gateways do not move this one");
  const { options } = cell.strategy;
  const end = await gateways.expect(machine, "b");
  let forced = false;
  const { value: report, meter } = await metered(arena, async () => {
    const startMs = performance.now();
    let latest: MigrationReport | undefined;
    await watch.begin(() => Promise.resolve(causewayView(latest)));
    const { id, api } = await gateways.begin(machine, "b", options);
    for (;;) {
      latest = await api.migration(id);
      if (ENDED_STATES.includes(latest.state)) return latest;
      const elapsedMs = performance.now() - startMs;
      if (elapsedMs > timeLimitMs) {
        await api.request("POST", `/migrations/${id}/cancel`);
        throw new Error(`Not done in ${timeLimitMs / 1000} s: ${latest.state}, ${latest.phase}`);
      }
      if (elapsedMs > convergenceMs && !forced) {
        forced = true;
        await api.request("POST", `/migrations/${id}/switchover`);
      }
      await pause(POLL_MS);
    }
  });
  const completed = report.state === "completed";
  const switched = report.decisions.findLast(({ action }) => action === "switch");
  return {
    state: !completed ? "failed" : forced ? "forced" : "completed",
    note: !completed
      ? `${report.state}: ${report.error?.code} ${report.error?.message}`
      : forced
      ? `switched over by force after ${convergenceMs / 1000} s`
      : null,
    end: completed ? end : null,
    figures: {
      totalMs: meter.totalMs,
      wireBytes: meter.wireBytes,
      downtimeMs: report.downtimeMs,
      predictedDowntimeMs: report.predictedDowntimeMs,
      memoryBytes: report.wireBytes.memory,
      diskBytes: report.wireBytes.disk,
      rounds: report.rounds.length,
      decisions: report.decisions.map(({ action }) => action),
    },
    switchedAtWallMs: switched === undefined ? null : Date.parse(switched.at),
  };
}

/** What the least that has to cross would take; the machine stands still while it is read. */
async function limitIn(machine: Machine, profile: CellOrder["profile"]): Promise<Limit> {
  const { memoryPath, diskPath } = await machine.snapshot("departure");
  const packed = wholeContent({ memoryPath, diskPath });
  for (const path of [memoryPath, diskPath]) await Deno.remove(path);
  return limitOf(packed, {
    rateBitsPerSecond: profile.forward.rateBitsPerSecond,
    roundTripMs: profile.forward.delayMs + profile.backward.delayMs,
  });
}

function sum({ forwardBytes, backwardBytes }: Awaited<ReturnType<Arena["wire"]>>): number {
  return forwardBytes + backwardBytes;
}

if (import.meta.main) await runCell(qemuCell);
