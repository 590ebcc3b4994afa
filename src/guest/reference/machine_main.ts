/**
 * The reference machine's process: `deno run … machine_main.ts STATE_DIRECTORY`.
 *
 * Needs read and write of the state directory, its socket, and `--allow-sys=statfs`. It belongs to
 * no gateway: whoever connects to `machine.sock` talks to it, and it lives until `quit`. Only when
 * that socket has been deleted and no gateway is attached it ends by itself, because nobody could
 * ever reach it again.
 */
import { existsSync } from "node:fs";
import { ControlServer } from "./control_server.ts";
import { Machine } from "./machine.ts";
import {
  CONFIGURATION_NAME,
  LOG_NAME,
  type MachineConfiguration,
  PID_NAME,
  SOCKET_NAME,
} from "./protocol.ts";

const UNREACHABLE_LOOK_MS = 2_000;

const [stateDirectory] = Deno.args;
logTo(`${stateDirectory}/${LOG_NAME}`);
const socketPath = `${stateDirectory}/${SOCKET_NAME}`;
const configuration: MachineConfiguration = JSON.parse(
  await Deno.readTextFile(`${stateDirectory}/${CONFIGURATION_NAME}`),
);

// Listening comes first: only one process can, so only one ever opens the disks.
const listener = Deno.listen({ transport: "unix", path: socketPath });
await Deno.writeTextFile(`${stateDirectory}/${PID_NAME}`, `${Deno.pid}\n`);

const server = new ControlServer(() => {
  listener.close();
  removeQuietly(`${stateDirectory}/${SOCKET_NAME}`);
  removeQuietly(`${stateDirectory}/${PID_NAME}`);
  Deno.exit(0);
});
server.machine = new Machine(configuration, stateDirectory, (event) => server.broadcast(event));

setInterval(() => {
  if (!server.attended && !existsSync(socketPath)) Deno.exit(0);
}, UNREACHABLE_LOOK_MS);

for await (const connection of listener) void server.serve(connection);

/** Standard output and error lead nowhere, so that no closed terminal can hurt: errors go here. */
function logTo(path: string): void {
  const log = (kind: string, thrown: unknown) => {
    const text = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
    Deno.writeTextFileSync(path, `${new Date().toISOString()} ${kind}: ${text}\n`, {
      append: true,
    });
  };
  globalThis.addEventListener("error", (event) => log("error", event.error));
  globalThis.addEventListener("unhandledrejection", (event) => log("rejection", event.reason));
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already: somebody cleared the directory.
  }
}
