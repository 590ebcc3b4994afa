import type { ReferenceWorkload } from "../definition.ts";
import { FreeRing } from "./free_ring.ts";
import { mix, nextBelow, nextChance, prngFromSeed, type PrngState } from "./mix.ts";
import { BLOCK_BYTES, PAGE_BYTES, TICKS_PER_SECOND } from "./units.ts";

/** Sizes that the program depends on. */
export interface MachineShape {
  readonly pageCount: number;
  /** Blocks of `BLOCK_BYTES` per disk. */
  readonly diskBlockCounts: readonly number[];
}

/** What the program runs on: real memory and disks, or the model that an audit replays it on. */
export interface Platform {
  /** A word that depends on every eighth of the page as it is now. */
  digestPage(page: number): number;
  writePage(page: number, version: number): void;
  /** Stores what is there already: dirty, not different. */
  rewritePage(page: number): void;
  digestBlock(disk: number, block: number): number;
  writeBlock(disk: number, block: number, version: number): void;
}

/** A disk write that the program has issued and its device has not done yet. */
export interface PendingWrite {
  /** By the ticks of the disks. */
  readonly dueTick: number;
  readonly disk: number;
  readonly block: number;
  readonly version: number;
}

/**
 * The machine's CPU and device state. Nothing of it can be read back from memory or disk, so a
 * machine that arrives without exactly these values goes on differently and its audit fails.
 */
export interface Registers extends ProcessRegisters {
  /** Where the free pages begin, see `FreeRing`. */
  freeCursor: number;
  disk: DiskRegisters;
}

/** Of one process of the program: one writes the memory, another the disks. */
export interface ProcessRegisters {
  /** Ticks done. */
  tick: number;
  /** Number of the last write, which is the version of what it wrote. */
  serial: number;
  prng: PrngState;
  /**
   * Folds what the process read before each write. A stale page that it overwrites before anybody
   * compares it has left its trace here.
   */
  readDigest: number;
}

/** Of the process that writes the disks. */
export interface DiskRegisters extends ProcessRegisters {
  /** Next block of each disk's log. */
  logCursors: number[];
  pending: PendingWrite[];
}

/** The registers at power-on. */
export function initialRegisters(shape: MachineShape, seed: number): Registers {
  return {
    tick: 0,
    serial: 0,
    prng: prngFromSeed(seed),
    readDigest: 0,
    freeCursor: 0,
    disk: {
      tick: 0,
      serial: 0,
      prng: prngFromSeed(mix(seed, Math.floor(seed / 2 ** 32), 0x6469736b, 0)),
      readDigest: 0,
      logCursors: shape.diskBlockCounts.map(() => 0),
      pending: [],
    },
  };
}

/** A disk write takes this long from issue to effect, so that some are always under way. */
const DISK_LATENCY_TICKS = 5;
/** Of the disk writes this share appends to the log; the rest hits a hot region. */
const LOG_RATIO = 0.75;
const HOT_DISK_BLOCKS_MAX = 1024;
/** Of the page writes this share takes a free page into use, where there are free ones. */
const REUSE_RATIO = 0.125;

/**
 * The workload: step `n` does the same writes whenever and wherever it is taken, because it depends
 * on the registers alone. Time decides only how many steps are taken. Memory and disks are written
 * by two processes that share nothing, so that disks which are held back hold back nothing else.
 */
export class Program {
  readonly #ring: FreeRing;

  constructor(
    readonly shape: MachineShape,
    readonly workload: ReferenceWorkload,
    readonly registers: Registers,
  ) {
    this.#ring = new FreeRing(shape.pageCount, workload.freeMiB);
  }

  /** The program will not read this page before it has written all of it. */
  isFree(page: number): boolean {
    return this.#ring.isFree(page, this.registers.freeCursor);
  }

  /** One tick of the process that writes the memory. */
  stepMemory(platform: Platform): void {
    const { registers, workload } = this;
    const pageWrites = quota(workload.memoryBytesPerSecond / PAGE_BYTES, registers.tick);
    for (let write = 0; write < pageWrites; write++) this.#writeMemory(platform);
    registers.tick++;
  }

  /** One tick of the process that writes the disks, and of the disks. */
  stepDisks(platform: Platform): void {
    const { registers: { disk }, workload } = this;
    this.#completePending(platform);
    if (this.shape.diskBlockCounts.length > 0) {
      const blockWrites = quota(workload.diskBytesPerSecond / BLOCK_BYTES, disk.tick);
      for (let write = 0; write < blockWrites; write++) this.#issueDiskWrite();
    }
    disk.tick++;
  }

  #completePending(platform: Platform): void {
    const { registers: { disk: registers } } = this;
    let done = 0;
    for (const { dueTick, disk, block, version } of registers.pending) {
      if (dueTick > registers.tick) break;
      noteRead(registers, platform.digestBlock(disk, block));
      platform.writeBlock(disk, block, version);
      done++;
    }
    if (done > 0) registers.pending.splice(0, done);
  }

  #writeMemory(platform: Platform): void {
    const { registers, workload } = this;
    if (this.#ring.length > 0 && nextChance(registers.prng, REUSE_RATIO)) {
      return this.#reusePage(platform);
    }
    const page = this.#pickPage();
    const silent = nextChance(registers.prng, workload.silentRatio);
    noteRead(registers, platform.digestPage(page));
    if (silent) platform.rewritePage(page);
    else platform.writePage(page, nextSerial(registers));
  }

  /** What a free page holds is nobody's: it is written whole, and nothing of it is read before. */
  #reusePage(platform: Platform): void {
    const { registers } = this;
    const page = this.#ring.nextUsed(registers.freeCursor);
    registers.freeCursor = this.#ring.advanced(registers.freeCursor);
    platform.writePage(page, nextSerial(registers));
  }

  /** One of the pages that are never free. */
  #pickPage(): number {
    const { registers, workload } = this;
    const pageCount = this.#ring.firstPage;
    const hotPages = Math.min(pageCount, Math.floor(workload.hotMiB * 2 ** 20 / PAGE_BYTES));
    const cold = nextChance(registers.prng, workload.coldRatio);
    if (cold || hotPages === 0) return nextBelow(registers.prng, pageCount);
    const firstHot = Math.floor((pageCount - hotPages) / 4);
    return firstHot + nextBelow(registers.prng, hotPages);
  }

  #issueDiskWrite(): void {
    const { registers: { disk: registers }, shape } = this;
    const disk = nextBelow(registers.prng, shape.diskBlockCounts.length);
    const blockCount = shape.diskBlockCounts[disk];
    const logBlocks = Math.ceil(blockCount / 2);
    let block: number;
    if (nextChance(registers.prng, LOG_RATIO)) {
      block = registers.logCursors[disk];
      registers.logCursors[disk] = (block + 1) % logBlocks;
    } else {
      const hotBlocks = Math.min(HOT_DISK_BLOCKS_MAX, Math.floor(blockCount / 2)) || blockCount;
      block = blockCount - hotBlocks + nextBelow(registers.prng, hotBlocks);
    }
    const version = nextSerial(registers);
    registers.pending.push({ dueTick: registers.tick + DISK_LATENCY_TICKS, disk, block, version });
  }
}

function noteRead(registers: ProcessRegisters, digest: number): void {
  registers.readDigest = (Math.imul(registers.readDigest, 0x01000193) ^ digest) >>> 0;
}

/** Writes of tick `tick` at a steady rate; a fraction is carried to the next tick. */
function quota(perSecond: number, tick: number): number {
  const perTick = perSecond / TICKS_PER_SECOND;
  return Math.floor((tick + 1) * perTick) - Math.floor(tick * perTick);
}

/** Version 0 is the initial content, so the numbering skips it when it wraps. */
function nextSerial(registers: ProcessRegisters): number {
  registers.serial = (registers.serial + 1) >>> 0 || 1;
  return registers.serial;
}
