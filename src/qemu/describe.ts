import type { GuestDescription, RunState } from "../guest/guest.ts";
import { ask, cpusAnswer, memorySizeAnswer, queryBlockAnswer, statusAnswer } from "./answers.ts";
import { type FeatureWords, featureWordsAnswer, formatCpuModel } from "./cpu_model.ts";
import { deviceLines, readDevices } from "./devices.ts";
import { describeDrive, type Drive, drivesOf } from "./drives.ts";
import { type QmpClient, QmpCommandError } from "./qmp/client.ts";

/** What the machine is, read over its monitor. */
export async function describeMachine(qmp: QmpClient): Promise<GuestDescription> {
  const [status, memory, type, cpuModel, drives, devices] = await Promise.all([
    ask(qmp, "query-status", statusAnswer),
    ask(qmp, "query-memory-size-summary", memorySizeAnswer),
    qmp.execute("qom-get", { path: "/machine", property: "type" }),
    readCpuModel(qmp),
    readDrives(qmp),
    readDevices(qmp),
  ]);
  return {
    kind: "qemu",
    version: qmp.version,
    machineType: String(type).replace(/-machine$/, ""),
    cpuModel,
    memoryBytes: memory["base-memory"] + (memory["plugged-memory"] ?? 0),
    runState: runStateOf(status.status),
    disks: drives.map(describeDrive),
    devices: deviceLines(devices),
    canHoldSwitchover: canHoldSwitchover(qmp.version),
  };
}

/** The first processor: those of one machine are alike. */
async function readCpuModel(qmp: QmpClient): Promise<string | null> {
  const [first] = await ask(qmp, "query-cpus-fast", cpusAnswer);
  if (first === undefined) return null;
  const path = first["qom-path"];
  const type = await qmp.execute("qom-get", { path, property: "type" });
  const words = await ask(qmp, "qom-get", featureWordsAnswer, { path, property: "feature-words" })
    .catch((thrown): FeatureWords => {
      if (thrown instanceof QmpCommandError) return [];
      throw thrown;
    });
  return formatCpuModel(String(type), words);
}

/** Media of the machine with their block nodes, sorted by device id. */
export async function readDrives(qmp: QmpClient): Promise<Drive[]> {
  return drivesOf(await ask(qmp, "query-block", queryBlockAnswer));
}

/** QEMU's sixteen run states as the migration sees them. */
export function runStateOf(status: string): RunState {
  if (status === "running") return "running";
  if (status === "inmigrate") return "incoming";
  if (status === "postmigrate") return "postmigrate";
  // `shutdown` is a machine that has powered itself off and is kept by -no-shutdown.
  if (status === "shutdown") return "gone";
  return "paused";
}

/** `switchover-ack` came with QEMU 8.1. */
export function canHoldSwitchover(version: string): boolean {
  return isAtLeast(version, 8, 1);
}

/** Compares a version such as `10.0.2`. */
export function isAtLeast(version: string, leastMajor: number, leastMinor: number): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
