import type {
  DestinationSide,
  DiskRound,
  MemorySource,
  MoveOptions,
  SourceSide,
} from "../guest/guest.ts";
import { splitExtents } from "../core/extents.ts";

/** A machine is looked at this often while a test waits for it. */
const LOOK_MS = 10;
const QUIET_LOOKS_MAX = 1_000;
const DISK_READ_BYTES = 1024 * 1024;

/** Keeps what a driver asks to remember, as the ledger does. */
export function notebook(
  scratchDirectory: string,
  label: string,
): { readonly notes: Record<string, unknown>; readonly options: MoveOptions } {
  const notes: Record<string, unknown> = {};
  const remember = (more: Record<string, unknown>) => {
    Object.assign(notes, more);
    return Promise.resolve();
  };
  return { notes, options: { scratchDirectory: `${scratchDirectory}/${label}`, remember } };
}

/** A memory stream that flows straight from one machine into the other. */
export class MemoryPipe {
  itemCount = 0;
  /** Resolves when the stream has ended; rejects with what stopped it. */
  readonly drained: Promise<void>;

  constructor(
    private readonly stream: MemorySource,
    private readonly destination: Pick<DestinationSide, "writeMemory">,
  ) {
    this.drained = this.#pump();
    this.drained.catch(() => {});
  }

  /** Waits for `step`, or fails with the pipe. */
  async race<T>(step: Promise<T>): Promise<T> {
    return await Promise.race([step, this.drained.then(() => step)]);
  }

  async untilPass(pass: number): Promise<void> {
    while ((await this.race(this.stream.progress())).pass < pass) await wait();
  }

  /** Resolves when nothing has come for a while; rejects when something always does. */
  async quiet(): Promise<void> {
    let calm = 0;
    for (let look = 0; look < QUIET_LOOKS_MAX; look++) {
      const before = this.itemCount;
      await wait();
      calm = this.itemCount === before ? calm + 1 : 0;
      if (calm === 5) return;
    }
    throw new Error("the memory stream does not come to rest");
  }

  async #pump(): Promise<void> {
    for await (const items of this.stream.items()) {
      this.itemCount += items.length;
      await this.destination.writeMemory(items);
    }
  }
}

/** Shape of a whole move. */
export interface MoveAllOptions {
  /** Disk rounds while the machine still runs; at least one. */
  readonly disksBeforeGate: number;
  /** Called between the first memory pass and the gate. */
  whileHeld?(): Promise<void>;
}

/** Moves a machine whose `begin` and `prepare` were called, up to the point before `start`. */
export async function moveAll(
  source: SourceSide,
  destination: DestinationSide,
  { disksBeforeGate, whileHeld }: MoveAllOptions,
): Promise<{ pausedAtMs: number }> {
  const stream = await source.startMemory();
  const pipe = new MemoryPipe(stream, destination);
  for (let round = 0; round < disksBeforeGate; round++) await copyRound(source, destination);
  await pipe.untilPass(2);
  await whileHeld?.();
  const { pausedAtMs } = await pipe.race(stream.pauseAtGate());
  await copyRound(source, destination);
  await Promise.all([stream.finish(), pipe.drained]);
  await destination.flushDisks();
  await destination.sealDisks();
  await destination.load();
  return { pausedAtMs };
}

async function copyRound(source: SourceSide, destination: DestinationSide): Promise<void> {
  for (const round of await source.beginDiskRound()) {
    await copyDiskRound(round, destination);
    await round.finish(true);
  }
}

/** Copies one disk's share of a round. */
export async function copyDiskRound(round: DiskRound, destination: DestinationSide): Promise<void> {
  for (const { offsetBytes, lengthBytes, kind } of splitExtents(round.extents, DISK_READ_BYTES)) {
    if (kind === "zero") {
      await destination.zeroDisk(round.diskId, offsetBytes, lengthBytes);
      continue;
    }
    const bytes = new Uint8Array(lengthBytes);
    await round.read(offsetBytes, bytes);
    await destination.writeDisk(round.diskId, offsetBytes, bytes);
  }
}

function wait(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
