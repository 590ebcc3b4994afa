import type {
  DirtyDisk,
  DiskRound,
  Finding,
  GuestDescription,
  MemorySource,
  MoveOptions,
  PreflightOptions,
  SourceSide,
} from "../../guest/guest.ts";
import { readDrives } from "../describe.ts";
import { NbdExports } from "../exports.ts";
import type { Machine } from "../machine.ts";
import { MigrationWatch } from "../migration_watch.ts";
import { readSourceNotes } from "../notes.ts";
import {
  applySettings,
  movingParameters,
  readSettings,
  settingsChange,
  sourceSettings,
} from "../settings.ts";
import { DiskThrottle } from "./disk_throttle.ts";
import { DiskTracker } from "./disk_tracker.ts";
import { listenForStream } from "./listener.ts";
import { failed, MemoryStream } from "./memory_stream.ts";
import { sourceFindings } from "./preflight.ts";
import { removeThrottle, removeTracking, restoreSource } from "./restore.ts";

/** One move away, as far as it has come. */
interface Move {
  readonly options: MoveOptions;
  readonly exports: NbdExports;
  readonly tracker: DiskTracker;
  readonly throttle: DiskThrottle;
  /** What was remembered so far. */
  readonly notes: Record<string, unknown>;
  streamCount: number;
  stream: MemoryStream | null;
}

const RUN_TIMEOUT_MS = 30_000;

/** The source's half of the QEMU driver. */
export class QemuSource implements SourceSide {
  #move: Move | null = null;

  constructor(
    private readonly machine: Machine,
    private readonly end: () => Promise<void>,
  ) {}

  preflight(counterpart: GuestDescription, options: PreflightOptions = {}): Promise<Finding[]> {
    return sourceFindings(this.machine, counterpart, options);
  }

  async begin(options: MoveOptions): Promise<void> {
    if (this.#move) throw new TypeError("a move has begun already");
    const { machine } = this;
    const watch = new MigrationWatch(machine);
    const [found, drives, runState] = await Promise.all([
      readSettings(machine),
      readDrives(machine),
      watch.runState(),
    ]).finally(() => watch.close());
    const mayThrottleCpu = options.mayThrottleCpu === true;
    const change = settingsChange(found, sourceSettings(mayThrottleCpu));
    const notes = {
      settings: {
        capabilities: change.found.capabilities,
        parameters: { ...change.found.parameters, ...movingParameters(found, mayThrottleCpu) },
      },
      wasRunning: runState === "running",
      nbdServer: true,
    };
    await Deno.mkdir(options.scratchDirectory, { recursive: true, mode: 0o700 });
    const exports = new NbdExports(machine);
    await options.remember(notes);
    await applySettings(machine, change.set);
    try {
      await exports.start(`${options.scratchDirectory}/source-nbd`);
    } catch (thrown) {
      // It belongs to somebody else: `restore` must leave it alone.
      await options.remember({ nbdServer: false });
      throw thrown;
    }
    const tracker = new DiskTracker(machine, exports, drives);
    const move: Move = {
      ...{ options, exports, tracker, notes, streamCount: 0, stream: null },
      throttle: new DiskThrottle(machine, async (more) => {
        await options.remember(more);
        Object.assign(move.notes, more);
      }),
    };
    this.#move = move;
    await tracker.begin();
  }

  beginDiskRound(): Promise<DiskRound[]> {
    return this.#begun().tracker.beginRound();
  }

  async dirtyDisks(): Promise<DirtyDisk[]> {
    const { tracker, throttle } = this.#begun();
    const [dirty, waitingBytes] = await Promise.all([
      tracker.dirtyDisks(),
      throttle.waitingBytes(),
    ]);
    // What waits for the cap is known for all disks together only.
    const waitingEach = Math.ceil(waitingBytes / Math.max(1, dirty.length));
    return dirty.map(({ diskId, bytes }) => ({ diskId, bytes: bytes + waitingEach }));
  }

  async throttleDisks(bytesPerSecond: number | null): Promise<void> {
    await this.#begun().throttle.set(bytesPerSecond);
  }

  async startMemory(): Promise<MemorySource> {
    const move = this.#begun();
    await move.stream?.cancel();
    const path = `${move.options.scratchDirectory}/memory-${++move.streamCount}`;
    move.stream = await MemoryStream.start(
      this.machine,
      listenForStream(path, this.machine.gatewayHost),
      move.options.mayThrottleCpu === true,
    );
    return move.stream;
  }

  async pause(): Promise<void> {
    const watch = new MigrationWatch(this.machine);
    try {
      if (await watch.runState() === "running") await this.machine.execute("stop");
      const state = await watch.untilRunState((each) => each !== "running", RUN_TIMEOUT_MS);
      if (state === null) throw failed("the machine did not stop");
    } finally {
      watch.close();
    }
  }

  async resume(): Promise<void> {
    if (!readSourceNotes(this.#begun().notes).wasRunning) return;
    await this.machine.execute("cont");
  }

  async restore(notes: Record<string, unknown>, options: MoveOptions): Promise<void> {
    const move = this.#move;
    await move?.stream?.cancel();
    await move?.exports.disconnect();
    const watch = new MigrationWatch(this.machine);
    try {
      await restoreSource(this.machine, watch, readSourceNotes({ ...move?.notes, ...notes }));
    } finally {
      watch.close();
    }
    await removeScratch(options.scratchDirectory);
    this.#move = null;
  }

  async retire(keep: boolean): Promise<void> {
    const move = this.#move;
    if (!keep) {
      await move?.exports.disconnect();
      await this.end();
    } else {
      await move?.exports.disconnect();
      // A gateway that restarted meanwhile has no notes here: what is known by its name still goes.
      const notes = readSourceNotes(move?.notes ?? {});
      await removeThrottle(this.machine, notes);
      await removeTracking(this.machine, notes);
      await applySettings(this.machine, notes.settings);
    }
    if (move) await removeScratch(move.options.scratchDirectory);
    this.#move = null;
  }

  /** Closes what this process has open; the machine and its settings stay as they are. */
  async disconnect(): Promise<void> {
    this.#move?.stream?.disconnect();
    await this.#move?.exports.disconnect();
  }

  #begun(): Move {
    if (!this.#move) throw new TypeError("no move has begun");
    return this.#move;
  }
}

/** The driver's own files; the folder goes with them where nothing else is in it. */
async function removeScratch(directory: string): Promise<void> {
  for await (const entry of readDirectory(directory)) {
    if (entry.name === "source-nbd" || entry.name.startsWith("memory-")) {
      await Deno.remove(`${directory}/${entry.name}`).catch(() => {});
    }
  }
  await Deno.remove(directory).catch(() => {});
}

async function* readDirectory(directory: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(directory);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
}
