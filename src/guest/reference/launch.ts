import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import {
  CONFIGURATION_NAME,
  LOG_NAME,
  type MachineConfiguration,
  SOCKET_NAME,
  SOCKET_PATH_BYTES_MAX,
} from "./protocol.ts";

/** Filling the memory of a large machine comes before its first answer: 1 s per GiB, here 5. */
const LAUNCH_MS = 30_000;
const LAUNCH_MS_PER_GIB = 5_000;
const POLL_MS = 20;
const LOG_TAIL_CHARACTERS = 2_000;

/**
 * The machine's socket.
 *
 * @throws {GatewayError} `guest_launch_failed` when no socket could have this path
 */
export function socketPathOf(stateDirectory: string): string {
  const path = `${stateDirectory}/${SOCKET_NAME}`;
  const bytes = new TextEncoder().encode(path).length;
  if (bytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw new GatewayError(
    "guest_launch_failed",
    `Cannot use ${path} as a socket: it has ${bytes} bytes, the limit is ${SOCKET_PATH_BYTES_MAX}`,
    { hint: "Choose a state directory with a shorter path" },
  );
}

/**
 * Starts the machine's process and waits until `connect` has reached it.
 *
 * The process gets a session of its own and no stdio, so that neither a closed terminal nor a signal
 * to the gateway's process group nor the gateway's end reaches it; what it has to say is in
 * `machine.log`. It may read and write its state directory, listen on its socket, and nothing else.
 *
 * @throws {GatewayError} `guest_launch_failed` with the end of the log
 */
export async function launchMachine<T>(
  stateDirectory: string,
  configuration: MachineConfiguration,
  clock: Clock,
  connect: () => Promise<T | null>,
): Promise<T> {
  await Deno.mkdir(stateDirectory, { recursive: true, mode: 0o700 });
  const socketPath = socketPathOf(stateDirectory);
  await removeIfThere(socketPath);
  await removeIfThere(`${stateDirectory}/${LOG_NAME}`);
  await Deno.writeTextFile(
    `${stateDirectory}/${CONFIGURATION_NAME}`,
    JSON.stringify(configuration, null, 2),
    { mode: 0o600 },
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      "--no-npm",
      "--no-remote",
      "--unstable-net",
      `--allow-read=${listed(stateDirectory)}`,
      `--allow-write=${listed(stateDirectory)}`,
      `--allow-net=unix:${listed(socketPath)}`,
      "--allow-sys=statfs",
      new URL("./machine_main.ts", import.meta.url).href,
      stateDirectory,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  child.unref();
  let ended: Deno.CommandStatus | null = null;
  void child.status.then((status) => ended = status);
  const limitMs = LAUNCH_MS + LAUNCH_MS_PER_GIB * configuration.memoryBytes / 2 ** 30;
  const untilMs = clock.nowMs() + limitMs;
  for (;;) {
    const connected = await connect();
    if (connected !== null) return connected;
    const status = ended as Deno.CommandStatus | null;
    if (status !== null) {
      throw await launchFailure(stateDirectory, `its process ended with code ${status.code}`);
    }
    if (clock.nowMs() > untilMs) {
      child.kill("SIGKILL");
      throw await launchFailure(stateDirectory, `it did not answer within ${limitMs} ms`);
    }
    await clock.sleep(POLL_MS);
  }
}

async function launchFailure(stateDirectory: string, reason: string): Promise<GatewayError> {
  const log = await Deno.readTextFile(`${stateDirectory}/${LOG_NAME}`).catch(() => "");
  const tail = log.slice(-LOG_TAIL_CHARACTERS).trim();
  return new GatewayError(
    "guest_launch_failed",
    `Cannot start the reference machine: ${reason}${tail ? `: ${tail}` : ""}`,
    { hint: "Check free memory and disk space, and the permissions of the gateway's task" },
  );
}

/** Commas separate the paths of a permission flag; two stand for one. */
function listed(path: string): string {
  return path.replaceAll(",", ",,");
}

async function removeIfThere(path: string): Promise<void> {
  await Deno.remove(path).catch((thrown) => {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  });
}
