import { type ReferenceWorkload, referenceWorkload } from "../definition.ts";
import { BlockDevice } from "./block_device.ts";
import { CoreMachine } from "./core_machine.ts";

const MEBIBYTE = 1024 * 1024;

/** A machine of 4 MiB with a disk of 4 MiB in this process, for tests; removes its files at the end. */
export async function withCoreMachine(
  workload: Partial<ReferenceWorkload>,
  use: (machine: CoreMachine) => void | Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  const disk = new BlockDevice("disk0", `${directory}/disk0.raw`, 4 * MEBIBYTE, { keep: false });
  try {
    await use(new CoreMachine(4 * MEBIBYTE, [disk], busyWorkload(workload)));
  } finally {
    disk.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** Writes about 24 pages and 12 blocks in each tick. */
export function busyWorkload(workload: Partial<ReferenceWorkload> = {}): ReferenceWorkload {
  return referenceWorkload.parse({
    hotMiB: 1,
    coldRatio: 0.2,
    memoryBytesPerSecond: 10_000_000,
    diskBytesPerSecond: 5_000_000,
    ...workload,
  });
}
