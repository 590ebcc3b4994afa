import { Buffer } from "node:buffer";
import type { ReferenceWorkload } from "../definition.ts";
import type { BlockDevice } from "./block_device.ts";
import { diskSpace, MEMORY_SPACE, PageContent } from "./content.ts";
import { FreeRing } from "./free_ring.ts";
import type { MachineMemory } from "./memory.ts";
import {
  initialRegisters,
  type MachineShape,
  type Platform,
  Program,
  type Registers,
} from "./program.ts";
import { BLOCK_BYTES, PAGE_BYTES, PAGE_WORDS } from "./units.ts";

/** What a machine found when it looked at itself. */
export interface VerifyReport {
  readonly ok: boolean;
  /** Ticks of its memory that the machine has run since its first start, at whatever site. */
  readonly ticks: number;
  /** All but those that were free. */
  readonly memoryPagesChecked: number;
  /** Blocks of 4 KiB, over all disks. */
  readonly diskBlocksChecked: number;
  readonly firstBad?: {
    readonly where: "registers" | "memory" | `disk${number}`;
    /** Page or block number; null for registers. */
    readonly index: number | null;
    readonly detail: string;
  };
}

/** The machine to look at; nothing of it is changed. */
export interface AuditSubject {
  readonly shape: MachineShape;
  readonly workload: ReferenceWorkload;
  readonly registers: Registers;
  readonly memory: MachineMemory;
  readonly disks: readonly BlockDevice[];
}

/** What memory and disks must hold: the version of every page and block. */
export interface ExpectedState {
  readonly registers: Registers;
  readonly memoryVersions: Uint32Array;
  readonly diskVersions: readonly Uint32Array[];
}

const SLICE_TICKS = 1024;
const SLICE_PAGES = 1024;

/**
 * Compares a machine with what its seed and the number of its ticks imply.
 *
 * Nothing that was copied from site to site is trusted: the program is run again from tick 0 on a
 * model that keeps versions only, which gives the registers and the version of each page and block,
 * and each of them is made anew and compared byte by byte. Yields between slices of work; the
 * subject must not change until it ends.
 */
export function* audit(subject: AuditSubject): Generator<void, VerifyReport> {
  const content = new PageContent(subject.workload);
  const expected = yield* replay(
    subject.shape,
    subject.workload,
    { memory: subject.registers.tick, disks: subject.registers.disk.tick },
    content,
  );
  const report = { ticks: subject.registers.tick, memoryPagesChecked: 0, diskBlocksChecked: 0 };
  const found = JSON.stringify(subject.registers);
  const wanted = JSON.stringify(expected.registers);
  if (found !== wanted) {
    const detail = `registers are ${excerpt(found)}, expected ${excerpt(wanted)}`;
    return { ok: false, ...report, firstBad: { where: "registers", index: null, detail } };
  }
  const page = new Uint32Array(PAGE_WORDS);
  const pageBytes = Buffer.from(page.buffer);
  const { memory } = subject;
  const ring = new FreeRing(subject.shape.pageCount, subject.workload.freeMiB);
  for (let index = 0; index < memory.pageCount; index++) {
    // Nothing is promised of a free page, so nothing is held against it.
    if (ring.isFree(index, expected.registers.freeCursor)) continue;
    const version = expected.memoryVersions[index];
    content.write(MEMORY_SPACE, index, version, page, 0);
    report.memoryPagesChecked++;
    if (!memory.equals(index, pageBytes)) {
      const detail = `page does not hold version ${version}`;
      return { ok: false, ...report, firstBad: { where: "memory", index, detail } };
    }
    if (index % SLICE_PAGES === 0) yield;
  }
  for (const [number, disk] of subject.disks.entries()) {
    const versions = expected.diskVersions[number];
    const slice = Buffer.alloc(SLICE_PAGES * BLOCK_BYTES);
    for (let first = 0; first < versions.length; first += SLICE_PAGES) {
      const count = Math.min(SLICE_PAGES, versions.length - first);
      disk.read(first * BLOCK_BYTES, slice.subarray(0, count * BLOCK_BYTES));
      for (let index = first; index < first + count; index++) {
        content.write(diskSpace(number), index, versions[index], page, 0);
        report.diskBlocksChecked++;
        const at = (index - first) * BLOCK_BYTES;
        if (slice.compare(pageBytes, 0, PAGE_BYTES, at, at + BLOCK_BYTES) !== 0) {
          const detail = `block does not hold version ${versions[index]}`;
          const where = `disk${number}` as const;
          return { ok: false, ...report, firstBad: { where, index, detail } };
        }
      }
      yield;
    }
  }
  return { ok: true, ...report };
}

/** Runs both processes of the program from their start to `ticks` on versions only. */
export function* replay(
  shape: MachineShape,
  workload: ReferenceWorkload,
  ticks: { readonly memory: number; readonly disks: number },
  content: PageContent,
): Generator<void, ExpectedState> {
  const memoryVersions = new Uint32Array(shape.pageCount);
  const diskVersions = shape.diskBlockCounts.map((count) => new Uint32Array(count));
  const model: Platform = {
    digestPage: (page) => content.expectedDigest(MEMORY_SPACE, page, memoryVersions[page]),
    writePage: (page, version) => void (memoryVersions[page] = version),
    rewritePage: () => {},
    digestBlock: (disk, block) =>
      content.expectedDigest(diskSpace(disk), block, diskVersions[disk][block]),
    writeBlock: (disk, block, version) => void (diskVersions[disk][block] = version),
  };
  const registers = initialRegisters(shape, workload.seed);
  const program = new Program(shape, workload, registers);
  while (registers.tick < ticks.memory) {
    program.stepMemory(model);
    if (registers.tick % SLICE_TICKS === 0) yield;
  }
  while (registers.disk.tick < ticks.disks) {
    program.stepDisks(model);
    if (registers.disk.tick % SLICE_TICKS === 0) yield;
  }
  return { registers, memoryVersions, diskVersions };
}

/** Runs a sliced computation to its end without a break; for tests and small machines. */
export function runToEnd<T>(slices: Generator<void, T>): T {
  for (;;) {
    const step = slices.next();
    if (step.done) return step.value;
  }
}

function excerpt(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
