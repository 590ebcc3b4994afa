import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { GuestDefinition, GuestRole } from "../guest/definition.ts";
import { runsWith } from "./host_process.ts";
import { checkUnixPath } from "./qmp/address.ts";
import { connectQmp, type QmpClient } from "./qmp/client.ts";

/** From the start of the process to the monitor's greeting; firmware and disks are opened before. */
export const LAUNCH_TIMEOUT_MS = 20_000;
const STDERR_TAIL_BYTES = 2_048;
const MEBIBYTE = 1024 * 1024;

export type LaunchDefinition = Extract<GuestDefinition, { launch: unknown }>["launch"];

/** Files of one launched machine, in a folder of its own below the gateway's state directory. */
export interface LaunchPaths {
  readonly directory: string;
  readonly qmp: string;
  readonly pidFile: string;
  readonly stdout: string;
  readonly stderr: string;
}

export function launchPaths(stateDirectory: string, id: string): LaunchPaths {
  const directory = `${stateDirectory}/qemu/${encodeURIComponent(id)}`;
  return {
    directory,
    qmp: `${directory}/qmp`,
    pidFile: `${directory}/pid`,
    stdout: `${directory}/stdout.log`,
    stderr: `${directory}/stderr.log`,
  };
}

/** What the gateway adds to the operator's arguments (contract, `PUT /v1/guests/{id}`). */
export function launchArguments(
  argv: readonly string[],
  role: GuestRole,
  paths: LaunchPaths,
): string[] {
  return [
    ...argv,
    "-qmp",
    `unix:${paths.qmp.replaceAll(",", ",,")},server=on,wait=off`,
    "-pidfile",
    paths.pidFile,
    ...(role === "incoming" ? ["-incoming", "defer", "-S"] : []),
  ];
}

export interface LaunchOptions {
  readonly id: string;
  readonly role: GuestRole;
  readonly launch: LaunchDefinition;
  readonly stateDirectory: string;
  readonly clock: Clock;
  /**
   * False where the ledger says that this site must not start the machine (it has moved away):
   * then only one that still runs is attached.
   */
  readonly mayStart: boolean;
}

/** A machine of ours that runs: its monitor, and its process id where the pid file told it. */
export interface Launched {
  readonly qmp: QmpClient;
  readonly pid: number | null;
}

/**
 * Attaches the machine launched earlier, or starts it.
 *
 * QEMU gets a session of its own and files for stdio: it survives stop, crash and restart of the
 * gateway, which finds it again by its monitor socket and pid file.
 *
 * @throws {GatewayError} `guest_launch_failed` with the end of its standard error,
 * `guest_unreachable` when it runs but its monitor does not answer, `guest_gone` when it does not
 * run and may not be started
 */
export async function launchOrReattach(options: LaunchOptions): Promise<Launched> {
  const paths = launchPaths(options.stateDirectory, options.id);
  checkUnixPath(paths.qmp);
  const found = await reattach(paths, options.clock);
  if (found) return found;
  if (!options.mayStart) {
    throw new GatewayError("guest_gone", `Cannot attach "${options.id}": it does not run here`, {
      hint: "It moved away or ended; register it again to start it",
    });
  }
  await Deno.mkdir(paths.directory, { recursive: true, mode: 0o700 });
  for (const disk of options.launch.disks) await createDisk(disk);
  return await start(options, paths);
}

/** The process id in the pid file, if that process is still the machine; else null. */
export async function launchedPid(paths: LaunchPaths): Promise<number | null> {
  const text = await Deno.readTextFile(paths.pidFile).catch(() => "");
  const pid = Number(text.trim());
  return Number.isSafeInteger(pid) && pid > 1 && await runsWith(pid, paths.qmp) ? pid : null;
}

/** The last lines that QEMU wrote on its standard error. */
export async function stderrTail(paths: LaunchPaths): Promise<string> {
  const bytes = await Deno.readFile(paths.stderr).catch(() => new Uint8Array());
  return new TextDecoder().decode(bytes.subarray(-STDERR_TAIL_BYTES)).trim();
}

async function reattach(paths: LaunchPaths, clock: Clock): Promise<Launched | null> {
  try {
    const qmp = await connectQmp({ kind: "unix", path: paths.qmp }, { clock });
    return { qmp, pid: await launchedPid(paths) };
  } catch (thrown) {
    // Refused or missing: nobody listens. Anything else is a machine that we must not start twice.
    if (await launchedPid(paths) !== null) throw thrown;
    return null;
  }
}

async function start(options: LaunchOptions, paths: LaunchPaths): Promise<Launched> {
  const argv = launchArguments(options.launch.argv, options.role, paths);
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      'out=$1 err=$2; shift 2; exec "$@" </dev/null >"$out" 2>"$err"',
      "sh",
      paths.stdout,
      paths.stderr,
      ...argv,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    // A session of its own (setsid): signals to the gateway's process group do not reach it.
    detached: true,
  }).spawn();
  child.unref();
  let exit: Deno.CommandStatus | null = null;
  child.status.then((status) => exit = status);
  const endMs = options.clock.nowMs() + LAUNCH_TIMEOUT_MS;
  for (;;) {
    // Status 0 is a QEMU that put itself into the background (-daemonize).
    const status = exit as Deno.CommandStatus | null;
    if (status !== null && !status.success) throw await failed(options, paths, status);
    try {
      const qmp = await connectQmp({ kind: "unix", path: paths.qmp }, { clock: options.clock });
      return { qmp, pid: await launchedPid(paths) };
    } catch (thrown) {
      if (options.clock.nowMs() < endMs) await options.clock.sleep(20);
      else {
        throw new GatewayError(
          "guest_launch_failed",
          `Cannot start "${options.id}": its monitor did not answer in ${LAUNCH_TIMEOUT_MS} ms. ` +
            await stderrTail(paths),
          { hint: `Look at ${paths.stderr}, and end the process if it hangs`, cause: thrown },
        );
      }
    }
  }
}

async function failed(
  options: LaunchOptions,
  paths: LaunchPaths,
  status: Deno.CommandStatus,
): Promise<GatewayError> {
  const how = status.signal ? `signal ${status.signal}` : `status ${status.code}`;
  return new GatewayError(
    "guest_launch_failed",
    `Cannot start "${options.id}": QEMU ended with ${how}: ${await stderrTail(paths)}`,
    { hint: `Correct "argv"; the whole output is in ${paths.stderr}` },
  );
}

async function createDisk(disk: LaunchDefinition["disks"][number]): Promise<void> {
  try {
    await Deno.lstat(disk.path);
    return;
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw cannotCreate(disk.path, String(thrown));
  }
  if (disk.format === "raw") {
    try {
      const file = await Deno.open(disk.path, { createNew: true, write: true, mode: 0o600 });
      // A hole of the whole size: it takes no room until something is written.
      await file.truncate(disk.sizeMiB * MEBIBYTE).finally(() => file.close());
    } catch (thrown) {
      throw cannotCreate(disk.path, thrown instanceof Error ? thrown.message : String(thrown));
    }
    return;
  }
  const { success, stderr } = await new Deno.Command("qemu-img", {
    args: ["create", "-q", "-f", disk.format, disk.path, `${disk.sizeMiB}M`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw cannotCreate(disk.path, new TextDecoder().decode(stderr).trim());
}

function cannotCreate(path: string, reason: string): GatewayError {
  return new GatewayError("guest_launch_failed", `Cannot create the disk ${path}: ${reason}`, {
    hint: "Check the folder, its permissions and the room left",
  });
}
