import { GatewayError } from "../../core/errors.ts";
import type { ReferenceWorkload } from "../definition.ts";
import { WORKLOAD_RATE_MAX } from "../workload_rate.ts";
import { FreeRing } from "./free_ring.ts";
import type { MachineShape, ProcessRegisters, Registers } from "./program.ts";

/** Everything of a machine that is neither memory nor disk. */
export interface CpuState {
  readonly shape: MachineShape;
  readonly workload: ReferenceWorkload;
  readonly registers: Registers;
}

const FORMAT = "causeway-reference-cpu-2";

/** One opaque item of the memory stream: UTF-8 JSON with the name of its format. */
export function encodeCpuState({ shape, workload, registers }: CpuState): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ format: FORMAT, shape, workload, registers }),
  );
}

/**
 * Reads the opaque item of a memory stream.
 *
 * @param shape the machine that shall go on with it
 * @throws {GatewayError} `memory_load_failed` when the bytes are no state of such a machine
 */
export function decodeCpuState(bytes: Uint8Array, shape: MachineShape): CpuState {
  let state: Partial<CpuState & { format: string }>;
  try {
    state = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw refusal("it is not a CPU state", cause);
  }
  const { workload, registers } = state ?? {};
  if (state?.format !== FORMAT) throw refusal(`its format is not ${FORMAT}`);
  if (JSON.stringify(state.shape) !== JSON.stringify(shape)) {
    throw refusal(`it is of a machine of another size: ${JSON.stringify(state.shape)}`);
  }
  if (!isWorkload(workload)) {
    throw refusal("its workload is incomplete or more than any machine does");
  }
  if (!isRegisters(registers, shape, workload)) throw refusal("its registers are incomplete");
  return { shape, workload, registers };
}

const WORKLOAD_KEYS = [
  "seed",
  "hotMiB",
  "coldRatio",
  "memoryBytesPerSecond",
  "diskBytesPerSecond",
  "silentRatio",
  "textRatio",
  "randomRatio",
  "freeMiB",
] as const satisfies readonly (keyof ReferenceWorkload)[];

function isWorkload(value: ReferenceWorkload | undefined): value is ReferenceWorkload {
  return WORKLOAD_KEYS.every((key) => isQuantity(value?.[key])) &&
    Math.max(value!.memoryBytesPerSecond, value!.diskBytesPerSecond) <= WORKLOAD_RATE_MAX;
}

function isRegisters(
  value: Registers | undefined,
  shape: MachineShape,
  workload: ReferenceWorkload,
): value is Registers {
  const disks = shape.diskBlockCounts;
  const ring = new FreeRing(shape.pageCount, workload.freeMiB);
  const disk = value?.disk;
  return areProcessRegisters(value) && isCount(value?.freeCursor, Math.max(1, ring.length)) &&
    areProcessRegisters(disk) && isCounts(disk?.logCursors, disks.length) &&
    disks.every((blocks, each) => disk!.logCursors[each] < Math.max(1, blocks)) &&
    Array.isArray(disk?.pending) &&
    disk.pending.every((write) =>
      isCount(write?.dueTick) && isCount(write.version) &&
      isCount(write.disk, disks.length) && isCount(write.block, disks[write.disk])
    );
}

function areProcessRegisters(value: ProcessRegisters | undefined): boolean {
  return isCount(value?.tick) && isCount(value?.serial) && isCount(value?.readDigest) &&
    isCounts(value?.prng, 4);
}

function isQuantity(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

/** A whole number below `end`. */
function isCount(value: unknown, end = Infinity): value is number {
  return Number.isSafeInteger(value) && value as number >= 0 && value as number < end;
}

function isCounts(value: unknown, length: number): boolean {
  return Array.isArray(value) && value.length === length && value.every((each) => isCount(each));
}

function refusal(reason: string, cause?: unknown): GatewayError {
  return new GatewayError("memory_load_failed", `Cannot load the machine: ${reason}`, {
    hint: "Check that both sites run the same version and definition of the guest",
    cause,
  });
}
