import { GatewayError } from "../../core/errors.ts";
import type { Extent } from "../../core/extents.ts";
import type { DestinationSide, Finding, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { runStateOf } from "../describe.ts";
import type { Machine } from "../machine.ts";
import { MigrationWatch } from "../migration_watch.ts";
import {
  applySettings,
  DESTINATION_SETTINGS,
  readSettings,
  type Settings,
  settingsChange,
} from "../settings.ts";
import { DiskSink, removeLeftExports } from "./disk_sink.ts";
import { MemorySink } from "./memory_sink.ts";
import { destinationFindings } from "./preflight.ts";

const RUN_TIMEOUT_MS = 30_000;
const NBD_SOCKET = "in-nbd";
const MEMORY_SOCKET = "in-memory";

/** How a machine announces its address where its own settings are not known any more. */
const ANNOUNCE_DEFAULTS = {
  "announce-initial": 50,
  "announce-max": 550,
  "announce-rounds": 5,
  "announce-step": 100,
};

/** One arrival, as far as it has come. */
interface Arrival {
  readonly options: MoveOptions;
  readonly disks: DiskSink;
  readonly memory: MemorySink;
  readonly found: Settings;
  alone: Promise<void>;
}

/** The destination's half of the QEMU driver. */
export class QemuDestination implements DestinationSide {
  #arrival: Arrival | null = null;

  constructor(
    private readonly machine: Machine,
    private readonly end: () => Promise<void>,
  ) {}

  preflight(counterpart: GuestDescription): Promise<Finding[]> {
    return destinationFindings(this.machine, counterpart);
  }

  async prepare(options: MoveOptions): Promise<void> {
    const { machine } = this;
    const runState = await this.#qemuRunState();
    if (runState !== "inmigrate" || this.#arrival) {
      throw new GatewayError(
        "guest_not_incoming",
        `Cannot prepare "${machine.id}": it is ${runStateOf(runState)}, not waiting for a machine`,
        { hint: "Start it with -incoming defer, or register it again with role incoming" },
      );
    }
    await Deno.mkdir(options.scratchDirectory, { recursive: true, mode: 0o700 });
    const change = settingsChange(await readSettings(machine), DESTINATION_SETTINGS);
    // In `inmigrate` this makes the machine arrive paused, with or without -S.
    await machine.execute("stop");
    await applySettings(machine, change.set);
    const disks = new DiskSink(machine);
    let memory: MemorySink;
    try {
      await disks.open(`${options.scratchDirectory}/${NBD_SOCKET}`);
      memory = await MemorySink.open(machine, `${options.scratchDirectory}/${MEMORY_SOCKET}`);
    } catch (thrown) {
      await disks.disconnect();
      throw await machine.explain(thrown);
    }
    this.#arrival = { options, disks, memory, found: change.found, alone: Promise.resolve() };
  }

  diskContent(diskId: string): Promise<readonly Extent[]> {
    return this.#prepared().disks.content(diskId);
  }

  readDisk(diskId: string, offsetBytes: number, into: Uint8Array): Promise<void> {
    return this.#prepared().disks.read(diskId, offsetBytes, into);
  }

  writeDisk(diskId: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    return this.#prepared().disks.write(diskId, offsetBytes, bytes);
  }

  zeroDisk(diskId: string, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.#prepared().disks.zero(diskId, offsetBytes, lengthBytes);
  }

  flushDisks(): Promise<void> {
    return this.#prepared().disks.flush();
  }

  writeMemory(items: readonly MemoryItem[]): Promise<void> {
    return this.#prepared().memory.write(items);
  }

  resetMemory(): Promise<void> {
    return this.#prepared().memory.reset();
  }

  async sealDisks(): Promise<void> {
    const arrival = this.#prepared();
    arrival.alone = (await arrival.disks.seal()).alone;
  }

  async load(): Promise<void> {
    const arrival = this.#prepared();
    await Promise.all([arrival.memory.load(), arrival.alone]);
  }

  async start(): Promise<void> {
    const { machine } = this;
    const state = await this.#qemuRunState();
    if (state !== "running") {
      if (state === "inmigrate" || state === "postmigrate") {
        throw new GatewayError(
          "memory_load_failed",
          `Cannot run "${machine.id}": it is ${runStateOf(state)}, not loaded`,
          { hint: "The machine's memory never arrived here; its owner has to be decided" },
        );
      }
      // QEMU would only print the conflict and run beside the export.
      await removeLeftExports(machine);
      await machine.execute("cont");
      const watch = new MigrationWatch(machine);
      try {
        const running = await watch.untilRunState((each) => each === "running", RUN_TIMEOUT_MS);
        if (running === null) throw notRunning(machine.id);
      } finally {
        watch.close();
      }
    }
    // It runs: what follows is courtesy, and must not look like a failed start.
    await this.#settle().catch(() => {});
  }

  async abandon(): Promise<void> {
    const arrival = this.#arrival;
    this.#arrival = null;
    arrival?.memory.close();
    await arrival?.disks.disconnect();
    await this.end();
    if (arrival) await removeScratch(arrival.options.scratchDirectory);
  }

  /** Closes what this process has open; the machine stays as it is. */
  async disconnect(): Promise<void> {
    this.#arrival?.memory.close();
    await this.#arrival?.disks.disconnect();
  }

  /** Announces the machine's address from here and puts the settings back. */
  async #settle(): Promise<void> {
    const { machine } = this;
    const arrival = this.#arrival;
    this.#arrival = null;
    const present = await readSettings(machine);
    const settings = { ...present.parameters, ...arrival?.found.parameters };
    if (settings["announce-rounds"] === 0) Object.assign(settings, ANNOUNCE_DEFAULTS);
    await machine.execute("announce-self", {
      initial: settings["announce-initial"],
      max: settings["announce-max"],
      rounds: settings["announce-rounds"],
      step: settings["announce-step"],
    });
    const announceRounds = { "announce-rounds": settings["announce-rounds"] };
    await applySettings(machine, {
      capabilities: arrival?.found.capabilities ?? {},
      parameters: { ...announceRounds, ...arrival?.found.parameters },
    });
    if (arrival) await removeScratch(arrival.options.scratchDirectory);
  }

  async #qemuRunState(): Promise<string> {
    const watch = new MigrationWatch(this.machine);
    try {
      return await watch.runState();
    } finally {
      watch.close();
    }
  }

  #prepared(): Arrival {
    if (this.#arrival) return this.#arrival;
    throw new GatewayError(
      "guest_not_incoming",
      `Cannot feed "${this.machine.id}": it was not prepared for a machine`,
      { hint: "Start the move again" },
    );
  }
}

function notRunning(id: string): GatewayError {
  return new GatewayError("disk_io", `Cannot run "${id}": it did not resume after cont`, {
    hint: "Look at its log: a disk that cannot be locked or read keeps it paused",
  });
}

async function removeScratch(directory: string): Promise<void> {
  for (const name of [NBD_SOCKET, MEMORY_SOCKET]) {
    await Deno.remove(`${directory}/${name}`).catch(() => {});
  }
  await Deno.remove(directory).catch(() => {});
}
