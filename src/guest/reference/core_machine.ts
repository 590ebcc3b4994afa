import { Buffer } from "node:buffer";
import type { ReferenceWorkload } from "../definition.ts";
import { audit, type VerifyReport } from "./audit.ts";
import type { BlockDevice } from "./block_device.ts";
import { diskSpace, MEMORY_SPACE, PageContent } from "./content.ts";
import { MachineMemory } from "./memory.ts";
import {
  initialRegisters,
  type MachineShape,
  type Platform,
  Program,
  type Registers,
} from "./program.ts";
import { BLOCK_BYTES, PAGE_WORDS } from "./units.ts";

const INIT_SLICE_BLOCKS = 1024;

/** Memory, disks and processor put together; knows no time, no process and no sockets. */
export class CoreMachine implements Platform {
  readonly shape: MachineShape;
  readonly memory: MachineMemory;
  #program: Program;
  #content: PageContent;
  readonly #block = new Uint32Array(PAGE_WORDS);
  readonly #blockBytes = Buffer.from(this.#block.buffer);
  /** What the program has written to each disk since this process began. */
  readonly diskWrittenBytes: number[];

  constructor(
    memoryBytes: number,
    readonly disks: readonly BlockDevice[],
    workload: ReferenceWorkload,
  ) {
    this.memory = new MachineMemory(memoryBytes);
    this.shape = {
      pageCount: this.memory.pageCount,
      diskBlockCounts: disks.map((disk) => Math.floor(disk.sizeBytes / BLOCK_BYTES)),
    };
    this.diskWrittenBytes = disks.map(() => 0);
    this.#content = new PageContent(workload);
    this.#program = new Program(
      this.shape,
      workload,
      initialRegisters(this.shape, workload.seed),
    );
  }

  get registers(): Registers {
    return this.#program.registers;
  }

  get workload(): ReferenceWorkload {
    return this.#program.workload;
  }

  /** Fills memory and disks with their initial content; zero pages stay untouched. */
  powerOn(): void {
    const { memory } = this;
    for (let page = 0; page < memory.pageCount; page++) {
      if (this.#content.isZero(MEMORY_SPACE, page, 0)) continue;
      const words = memory.wordsForWriting(page);
      this.#content.write(MEMORY_SPACE, page, 0, words, memory.wordOf(page));
    }
    for (const number of this.disks.keys()) this.#fillDisk(number);
  }

  stepMemory(): void {
    this.#program.stepMemory(this);
  }

  stepDisks(): void {
    this.#program.stepDisks(this);
  }

  audit(): Generator<void, VerifyReport> {
    const { shape, workload, registers, memory, disks } = this;
    return audit({ shape, workload, registers, memory, disks });
  }

  /** Goes on as the machine that these registers belong to. */
  load(workload: ReferenceWorkload, registers: Registers): void {
    this.#content = new PageContent(workload);
    this.#program = new Program(this.shape, workload, registers);
  }

  /** See `Program.isFree`. */
  isFree(page: number): boolean {
    return this.#program.isFree(page);
  }

  digestPage(page: number): number {
    const { memory } = this;
    return this.#content.digestOf(MEMORY_SPACE, page, memory.wordsOf(page), memory.wordOf(page));
  }

  writePage(page: number, version: number): void {
    const words = this.memory.wordsForWriting(page);
    this.#content.write(MEMORY_SPACE, page, version, words, this.memory.wordOf(page));
  }

  rewritePage(page: number): void {
    this.memory.markDirty(page);
  }

  digestBlock(disk: number, block: number): number {
    this.disks[disk].read(block * BLOCK_BYTES, this.#blockBytes);
    return this.#content.digestOf(diskSpace(disk), block, this.#block, 0);
  }

  writeBlock(disk: number, block: number, version: number): void {
    this.#content.write(diskSpace(disk), block, version, this.#block, 0);
    this.disks[disk].write(block * BLOCK_BYTES, this.#blockBytes);
    this.diskWrittenBytes[disk] += BLOCK_BYTES;
  }

  #fillDisk(number: number): void {
    const disk = this.disks[number];
    const space = diskSpace(number);
    const words = new Uint32Array(INIT_SLICE_BLOCKS * PAGE_WORDS);
    const blockCount = this.shape.diskBlockCounts[number];
    for (let first = 0; first < blockCount; first += INIT_SLICE_BLOCKS) {
      const last = Math.min(first + INIT_SLICE_BLOCKS, blockCount);
      for (let block = first; block < last;) {
        // Runs of blocks that hold something, so that the rest of the file stays a hole.
        const from = block;
        while (block < last && !this.#content.isZero(space, block, 0)) {
          this.#content.write(space, block, 0, words, (block - first) * PAGE_WORDS);
          block++;
        }
        if (block > from) {
          const bytes = Buffer.from(words.buffer).subarray(
            (from - first) * BLOCK_BYTES,
            (block - first) * BLOCK_BYTES,
          );
          disk.write(from * BLOCK_BYTES, bytes);
        } else block++;
      }
    }
  }
}
