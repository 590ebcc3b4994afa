import { loadProfile } from "../../src/emulator/load_profile.ts";
import type { Plan } from "../../src/gateway/service.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { createDisk, startQemu } from "../../src/testing/qemu_process.ts";
import { type End, TwoGateways } from "../cost/two_gateways.ts";
import { type Load, machineFor } from "./cases.ts";

const GUEST_ID = "bench";
const POLL_MS = 200;
/** A machine that has just begun has not written its hot pages yet. */
const WARM_UP_MS = 2_000;
/** A move that takes longer than this many times its forecast, or this, has none. */
const MOVE_MS_MAX = 90_000;
const QEMU_MEMORY_MIB = 160;
const QEMU_DISK_MIB = 64;

/** What was forecast, and what came. */
export interface PlanMeasurement {
  readonly profile: string;
  readonly load: string;
  readonly plan: Plan;
  /** The last report of the move, ended or not. */
  readonly report: MigrationReport;
  readonly loadAverage: number;
}

export interface PlanCase {
  readonly profile: string;
  readonly load: Load;
  readonly seed: number;
  readonly scale: number;
}

/** Plans a move of a reference machine between two fresh gateways, and then makes it. */
export async function measurePlan({ profile, load, seed, scale }: PlanCase) {
  const { forward } = await loadProfile(profile);
  const definition = machineFor(forward.rateBitsPerSecond! / 8, load, seed, scale);
  await using gateways = await start(profile);
  const { source, destination } = gateways;
  const path = `/v1/guests/${GUEST_ID}`;
  try {
    await Promise.all([
      source.api.request("PUT", path, definition),
      destination.api.request("PUT", path, { ...definition, role: "incoming" }),
    ]);
    const measured = await planAndMove(source);
    return { profile, load: load.name, ...measured };
  } finally {
    for (const { api } of [source, destination]) {
      await api.request("DELETE", `${path}?end=true`).catch(() => {});
    }
  }
}

/** The same with a Linux machine in QEMU under TCG. */
export async function measureQemu(profile: string, seed: number): Promise<PlanMeasurement> {
  await using gateways = await start(profile);
  const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "causeway-plan-" });
  try {
    const machine = async (name: string, { api }: End) => {
      const disk = `${directory}/${name}.raw`;
      await createDisk(disk, "raw", QEMU_DISK_MIB);
      const process = await startQemu({
        directory,
        name,
        memoryMiB: QEMU_MEMORY_MIB,
        disks: [{ id: "root", path: disk, format: "raw" }],
        workload: { seed, memoryMiB: 8, memoryKiBPerSecond: 2048, diskKiBPerSecond: 512 },
        incoming: name === "east",
      });
      const role = name === "east" ? "incoming" : "source";
      await api.request("PUT", `/v1/guests/${GUEST_ID}`, {
        kind: "qemu",
        qmp: process.qmpPath,
        role,
      });
      return process;
    };
    await using source = await machine("west", gateways.source);
    await using _destination = await machine("east", gateways.destination);
    await source.waitReady();
    return { profile, load: "QEMU", ...await planAndMove(gateways.source) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function start(profile: string): Promise<TwoGateways> {
  return TwoGateways.start({ profile, profiled: false, denoFlags: [] });
}

async function planAndMove({ api }: End) {
  await pause(WARM_UP_MS);
  const request = { guest: GUEST_ID, to: "east" };
  const plan = await api.post<Plan>("/v1/plan", { ...request, strategy: "precopy" });
  const loadAverage = Deno.loadavg()[0];
  const { id } = await api.post<MigrationReport>("/v1/migrations", request);
  const deadlineMs = performance.now() + MOVE_MS_MAX;
  for (;;) {
    const report = await api.migration(id);
    if (ENDED_STATES.includes(report.state)) return { plan, report, loadAverage };
    if (performance.now() > deadlineMs) {
      await api.post(`/v1/migrations/${id}/cancel`);
      return { plan, report, loadAverage };
    }
    await pause(POLL_MS);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
