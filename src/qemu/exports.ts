import { GatewayError } from "../core/errors.ts";
import type { NbdAddress } from "../nbd/address.ts";
import { connectNbd, type NbdClient } from "../nbd/client.ts";
import { ask, exportsAnswer } from "./answers.ts";
import type { Machine } from "./machine.ts";
import { checkUnixPath } from "./qmp/address.ts";
import { QmpCommandError } from "./qmp/client.ts";

/** Every export of the driver begins with this, so that leftovers are known as ours. */
export const EXPORT_PREFIX = "causeway-";

/** A cut client's request may still be at work on the disk when its export is deleted. */
const DELETE_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
/** Ports for NBD when QEMU runs on another host: QEMU cannot tell which one it chose itself. */
const DYNAMIC_PORT_MIN = 49_152;
const DYNAMIC_PORT_MAX = 65_535;
const PORT_TRIES = 20;

/** QEMU's built-in NBD server, of which each process has one, and the driver's exports on it. */
export class NbdExports {
  #address: NbdAddress | null = null;
  readonly #clients = new Map<string, NbdClient>();

  constructor(private readonly machine: Machine) {}

  /**
   * @param socketPath where the server listens on this host
   * @throws {GatewayError} `nbd_server_in_use`
   */
  async start(socketPath: string): Promise<void> {
    const { address } = this.machine;
    if (address.kind === "unix") {
      checkUnixPath(socketPath);
      await this.#startAt({ type: "unix", data: { path: socketPath } });
      this.#address = { kind: "unix", path: socketPath };
      return;
    }
    const range = DYNAMIC_PORT_MAX - DYNAMIC_PORT_MIN + 1;
    let port = DYNAMIC_PORT_MIN + Math.floor(this.machine.clock.nowMs() * 1000) % range;
    for (let tries = 1;; tries++) {
      try {
        await this.#startAt({ type: "inet", data: { host: address.host, port: String(port) } });
        this.#address = { kind: "tcp", hostname: address.host, port };
        return;
      } catch (thrown) {
        const taken = thrown instanceof QmpCommandError && /in use/i.test(thrown.description);
        if (!taken || tries === PORT_TRIES) throw thrown;
        port = port === DYNAMIC_PORT_MAX ? DYNAMIC_PORT_MIN : port + 1;
      }
    }
  }

  /** Exports a node under `id` and connects to it. */
  async open(
    id: string,
    nodeName: string,
    options: { readonly writable: boolean; readonly bitmaps?: readonly string[] },
  ): Promise<NbdClient> {
    const { writable, bitmaps = [] } = options;
    if (!this.#address) throw new TypeError("the NBD server is not started");
    await this.machine.execute("block-export-add", {
      type: "nbd",
      id,
      name: id,
      "node-name": nodeName,
      writable,
      ...(bitmaps.length > 0 ? { bitmaps } : {}),
    });
    const client = await connectNbd({
      address: this.#address,
      exportName: id,
      metaContexts: [
        "base:allocation",
        ...bitmaps.map((name) => `qemu:dirty-bitmap:${name}`),
      ],
    });
    this.#clients.set(id, client);
    return client;
  }

  /** Cuts the export's clients and waits until QEMU has let go of its node. */
  async close(id: string): Promise<void> {
    await this.#clients.get(id)?.close().catch(() => {});
    this.#clients.delete(id);
    await deleteExports(this.machine, [id]);
  }

  /** Closes all connections to exports; the exports stay. */
  async disconnect(): Promise<void> {
    const clients = [...this.#clients.values()];
    this.#clients.clear();
    await Promise.all(clients.map((client) => client.close().catch(() => {})));
  }

  async #startAt(addr: unknown): Promise<void> {
    try {
      await this.machine.execute("nbd-server-start", { addr });
    } catch (thrown) {
      if (thrown instanceof QmpCommandError && /already running/i.test(thrown.description)) {
        throw new GatewayError(
          "nbd_server_in_use",
          `Cannot reach the disks of "${this.machine.id}": its NBD server serves somebody else`,
          { hint: "Stop it with nbd-server-stop once its user is done, then try again" },
        );
      }
      throw thrown;
    }
  }
}

/** Ids of all exports of the machine, the operator's included. */
export async function exportIds(machine: Machine): Promise<string[]> {
  return (await ask(machine, "query-block-exports", exportsAnswer)).map(({ id }) => id);
}

/** Deletes the exports that exist and waits until QEMU says that they are gone. */
export async function deleteExports(machine: Machine, ids: readonly string[]): Promise<void> {
  const { clock } = machine;
  let left = new Set(ids);
  const changed = new Set<() => void>();
  const stopListening = machine.onEvent((event) => {
    if (event.name === "BLOCK_EXPORT_DELETED") { for (const wake of [...changed]) wake(); }
  });
  try {
    const present = new Set(await exportIds(machine));
    left = new Set([...left].filter((id) => present.has(id)));
    await Promise.all(
      [...left].map((id) =>
        machine.execute("block-export-del", { id, mode: "hard" }).catch((thrown) => {
          // It is on its way out already, or left in between.
          if (!(thrown instanceof QmpCommandError)) throw thrown;
        })
      ),
    );
    const endMs = clock.nowMs() + DELETE_TIMEOUT_MS;
    while (left.size > 0) {
      const woken = Promise.withResolvers<void>();
      changed.add(woken.resolve);
      const remaining = new Set(await exportIds(machine));
      left = new Set([...left].filter((id) => remaining.has(id)));
      if (left.size === 0) break;
      if (clock.nowMs() >= endMs) {
        throw new GatewayError(
          "disk_io",
          `Cannot close the exports ${[...left].join(", ")} of "${machine.id}": ` +
            "QEMU still works on them",
          { hint: "Look at the storage of these disks: a request may hang there" },
        );
      }
      const timer = new AbortController();
      await Promise.race([woken.promise, clock.sleep(POLL_MS, timer.signal).catch(() => {})]);
      timer.abort();
      changed.clear();
    }
  } finally {
    stopListening();
  }
}

/** Deletes the driver's exports and stops the server, unless it serves others, too. */
export async function stopServer(machine: Machine): Promise<void> {
  const all = await exportIds(machine);
  await deleteExports(machine, all.filter((id) => id.startsWith(EXPORT_PREFIX)));
  if (all.some((id) => !id.startsWith(EXPORT_PREFIX))) return;
  try {
    await machine.execute("nbd-server-stop");
  } catch (thrown) {
    // It does not run: nothing was started, or an earlier attempt stopped it.
    if (!(thrown instanceof QmpCommandError)) throw thrown;
  }
}
