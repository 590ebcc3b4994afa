import { GatewayError } from "../../core/errors.ts";
import { checkDiskCap } from "../../guest/throttles.ts";
import { ask, blockStatsAnswer, ioLimits, virtioQueueAnswer } from "../answers.ts";
import { readDrives } from "../describe.ts";
import { cappedWrites, type FoundLimits, foundLimits, THROTTLE_GROUP } from "../io_limits.ts";
import type { Machine } from "../machine.ts";
import { QmpCommandError } from "../qmp/client.ts";

/** Path below a virtio device's own, under which its requests are counted. */
const VIRTIO_BACKEND = "/virtio-backend";

type Remember = (notes: { ioLimits: readonly FoundLimits[] }) => Promise<void>;

/** The cap on what a machine writes to its disks, as far as one move has set it. */
export class DiskThrottle {
  /** What the drives had before; null while there is no cap of ours. */
  #found: readonly FoundLimits[] | null = null;
  /** What had been written when the cap began, by path of the device. */
  #writtenBefore: WriteCounts = new Map();
  #last: Promise<unknown> = Promise.resolve();

  constructor(private readonly machine: Machine, private readonly remember: Remember) {}

  /**
   * @param bytesPerSecond null takes the cap away
   * @throws {GatewayError} `throttle_not_possible`, with no cap left in place
   */
  set(bytesPerSecond: number | null): Promise<void> {
    checkDiskCap(bytesPerSecond);
    const done = this.#last.then(() =>
      bytesPerSecond === null ? this.#lift() : this.#cap(bytesPerSecond)
    );
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Bytes that the machine has given to its disks and that wait for the cap. A pause lets them
   * through at once, so they belong to what has to be copied during it. An estimate from the mean
   * size of what came through since; 0 without a cap, and for devices that do not count their
   * requests.
   */
  async waitingBytes(): Promise<number> {
    if (this.#found === null) return 0;
    const { machine } = this;
    const written = await writeCounts(machine);
    const estimates = this.#found.map(async ({ handle }) => {
      const path = "id" in handle ? handle.id : "";
      const counts = written.get(path);
      if (!path.endsWith(VIRTIO_BACKEND) || counts === undefined) return 0;
      return await requestsIn(machine, path) * meanBytes(counts, this.#writtenBefore.get(path));
    });
    return Math.round((await Promise.all(estimates)).reduce((sum, bytes) => sum + bytes, 0));
  }

  async #cap(bytesPerSecond: number): Promise<void> {
    if (this.#found === null) {
      const drives = (await readDrives(this.machine)).filter(({ readOnly }) => !readOnly);
      const found = drives.flatMap(({ throttle }) => throttle === null ? [] : [foreign(throttle)]);
      if (found.length === 0 && drives.length > 0) {
        throw notPossible("QEMU can limit none of them");
      }
      this.#writtenBefore = await writeCounts(this.machine);
      await this.remember({ ioLimits: found });
      this.#found = found;
    }
    try {
      for (const limits of cappedWrites(this.#found, bytesPerSecond)) {
        await this.machine.execute("block_set_io_throttle", limits);
      }
    } catch (thrown) {
      if (!(thrown instanceof QmpCommandError)) throw thrown;
      await this.#lift();
      throw notPossible(thrown.description, thrown);
    }
  }

  async #lift(): Promise<void> {
    if (this.#found === null) return;
    await putBackLimits(this.machine, this.#found);
    this.#found = null;
    // Whoever sets limits from now on is not us: a later `restore` must not undo it.
    await this.remember({ ioLimits: [] });
  }
}

/** Writes of each drive since its machine began, by path of its device. */
type WriteCounts = ReadonlyMap<string, { readonly bytes: number; readonly writes: number }>;

async function writeCounts(machine: Machine): Promise<WriteCounts> {
  const stats = await ask(machine, "query-blockstats", blockStatsAnswer);
  return new Map(
    stats.flatMap(({ qdev, stats: { wr_bytes, wr_operations } }) =>
      qdev === undefined ? [] : [[qdev, { bytes: wr_bytes, writes: wr_operations }]]
    ),
  );
}

/** Of the writes since `before`; of all there were as long as there are none. */
function meanBytes(
  now: { readonly bytes: number; readonly writes: number },
  before = { bytes: 0, writes: 0 },
): number {
  const writes = now.writes - before.writes;
  if (writes > 0) return (now.bytes - before.bytes) / writes;
  return now.writes > 0 ? now.bytes / now.writes : 0;
}

/** A cap of ours whose notes were lost is not what its drive is to have again. */
function foreign({ handle, limits }: FoundLimits): FoundLimits {
  return { handle, limits: limits.group === THROTTLE_GROUP ? ioLimits.parse({}) : limits };
}

/** Gives drives the limits that they had; ones that are gone meanwhile are passed over. */
export async function putBackLimits(
  machine: Machine,
  found: readonly FoundLimits[],
): Promise<void> {
  for (const limits of foundLimits(found)) await setLimits(machine, limits);
}

/** Takes away caps whose notes are lost: they are known by their group's name. */
export async function removeOwnLimits(machine: Machine): Promise<void> {
  for (const { throttle } of await readDrives(machine)) {
    if (throttle?.limits.group !== THROTTLE_GROUP) continue;
    const { handle } = throttle;
    await setLimits(machine, {
      ...handle,
      ...{ bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 },
    });
  }
}

async function setLimits(machine: Machine, limits: Record<string, unknown>): Promise<void> {
  await machine.execute("block_set_io_throttle", limits).catch((thrown) => {
    if (!(thrown instanceof QmpCommandError)) throw thrown;
  });
}

/** Requests of a virtio device that it has not given back; 0 where QEMU does not say. */
async function requestsIn(machine: Machine, path: string): Promise<number> {
  try {
    const device = path.slice(0, -VIRTIO_BACKEND.length);
    const queues = await machine.execute("qom-get", { path: device, property: "num-queues" });
    let requests = 0;
    for (let queue = 0; queue < Number(queues); queue++) {
      const args = { path, queue };
      requests +=
        (await ask(machine, "x-query-virtio-queue-status", virtioQueueAnswer, args)).inuse;
    }
    return requests;
  } catch (thrown) {
    if (thrown instanceof QmpCommandError) return 0;
    throw thrown;
  }
}

function notPossible(reason: string, cause?: unknown): GatewayError {
  return new GatewayError(
    "throttle_not_possible",
    `Cannot hold back the machine's writes to its disks: ${reason}`,
    { hint: "Choose another remedy, such as throttling its processors or a larger budget", cause },
  );
}
