import { Buffer } from "node:buffer";
import type { GuestEvent, RunState } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { Dice } from "./dice.ts";
import { type SimImage, UNIT_BYTES } from "./image.ts";
import type { Schedule } from "./schedule.ts";

export const PAGE_BYTES = 512;
/** Pages of each block of memory. */
const BLOCK_PAGES = [40, 9];
const PAGE_COUNT = BLOCK_PAGES.reduce((sum, pages) => sum + pages, 0);

export const LAYOUT: Extract<MemoryItem, { kind: "layout" }> = {
  kind: "layout",
  pageBytes: PAGE_BYTES,
  section: 2,
  blocks: BLOCK_PAGES.map((pages, i) => ({ name: `ram${i}`, lengthBytes: pages * PAGE_BYTES })),
};

/** Why a machine's process ended. */
export type EndCause = "gateway" | "operator" | "fault";

/** Whoever looks at machines from outside: the world's checks. */
export interface MachineWatch {
  /** Called before it runs. */
  readonly runs: (machine: SimMachine) => void;
  /** Called before its process is gone. */
  readonly ends: (machine: SimMachine, cause: EndCause) => void;
  readonly trace: (site: string, what: string, detail?: unknown) => void;
}

/** What a machine knows of a memory stream out of it. */
export interface OutgoingStream {
  readonly isOver: boolean;
  /** Ends it as the monitor's cancel does. */
  cancelNow(): void;
  /** It fails, and the machine goes on. */
  break(): void;
}

/** How much a machine writes. */
export interface Workload {
  readonly everyMs: number;
  readonly pagesMax: number;
  readonly unitsMax: number;
  /** False: nothing of it gets shorter by packing. */
  readonly packs: boolean;
}

export interface MachineOptions {
  readonly number: number;
  readonly site: string;
  /** Path of its monitor's socket, which the next machine may have as well. */
  readonly monitor: string;
  readonly role: "source" | "incoming";
  readonly disks: readonly { readonly id: string; readonly image: SimImage }[];
  readonly workload: Workload;
  readonly schedule: Schedule;
  readonly dice: Dice;
  readonly watch: MachineWatch;
}

/** A disk of one machine's process, with its dirty bitmaps. */
interface SimDisk {
  readonly id: string;
  readonly image: SimImage;
  readonly bitmaps: Map<string, Set<number>>;
}

/** A page of a block, for a number that counts through all blocks. */
export function placeOf(page: number): { readonly block: number; readonly index: number } {
  let block = 0;
  let index = page;
  while (index >= BLOCK_PAGES[block]) index -= BLOCK_PAGES[block++];
  return { block, index };
}

export function pageOf(block: number, index: number): number {
  return BLOCK_PAGES.slice(0, block).reduce((sum, pages) => sum + pages, 0) + index;
}

/**
 * A machine's process, in the ways that matter to whoever moves it: it writes memory and disks while
 * it runs, and outlives its gateway. The hypervisor's rules are QEMU's (design, section 3 rule 3b).
 */
export class SimMachine {
  readonly memory = Buffer.alloc(PAGE_COUNT * PAGE_BYTES);
  readonly disks: readonly SimDisk[];
  /** Of its processor time, what its memory stream takes away. */
  cpuThrottleShare = 0;
  /** Counts what it did: its device state. */
  ticks = 0;
  /** Loaded from a stream and not started here yet. */
  hasArrived = false;
  /** The gateway may read and write the disks of an incoming machine. */
  disksAreOpen = false;
  /** Pages written since they were put into the present stream's passes. */
  readonly dirtyPages = new Set<number>();
  /** Paused by a memory stream that has come to its gate. */
  isAtGate = false;
  /** The last memory stream out of it, whoever reads it. */
  outgoing: OutgoingStream | null = null;
  #state: Exclude<RunState, "gone"> | "gone";
  #stints = 0;
  #diskBytesPerSecondMax: number | null = null;
  /** Bytes that it may write to its disks without waiting. */
  #diskCredit = 0;
  #waiting: { readonly disk: SimDisk; readonly unit: number }[] = [];
  readonly #listeners = new Set<(event: GuestEvent) => void>();

  constructor(private readonly options: MachineOptions) {
    this.disks = options.disks.map(({ id, image }) => ({ id, image, bitmaps: new Map() }));
    this.#state = "incoming";
    if (options.role === "source") this.#powerOn();
  }

  get number(): number {
    return this.options.number;
  }

  get monitor(): string {
    return this.options.monitor;
  }

  get site(): string {
    return this.options.site;
  }

  get runState(): RunState {
    return this.#state;
  }

  get isGone(): boolean {
    return this.#state === "gone";
  }

  get name(): string {
    return `${this.site}${this.number}`;
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  run(): void {
    if (this.#state === "running" || this.isGone) return;
    this.options.watch.runs(this);
    this.#state = "running";
    this.hasArrived = false;
    this.isAtGate = false;
    this.options.watch.trace(this.site, `machine ${this.name} runs`);
    this.#tell("resumed");
    this.#work(++this.#stints);
  }

  stop(): void {
    if (this.#state !== "running") return;
    // As QEMU does: what waits for a cap is written first, however much that is.
    this.#writeWaiting(Infinity);
    this.#state = "paused";
    this.options.watch.trace(this.site, `machine ${this.name} stands still`);
    this.#tell("stopped");
  }

  get dirtyPagesPerSecond(): number {
    const { everyMs, pagesMax } = this.options.workload;
    return this.#state !== "running" ? 0 : pagesMax / 2 * 1000 / everyMs * this.#speed;
  }

  /** True while something that a move took from it is still missing. */
  get isHeldBack(): boolean {
    return this.#diskBytesPerSecondMax !== null || this.cpuThrottleShare > 0;
  }

  /** What is written to its disks from now on; null is without a cap. */
  capDisks(bytesPerSecond: number | null): void {
    this.#diskBytesPerSecondMax = bytesPerSecond;
    this.#diskCredit = 0;
    if (bytesPerSecond === null) this.#writeWaiting(Infinity);
  }

  /** What waits for the cap of a disk. */
  waitingBytes(diskId: string): number {
    return this.#waiting.filter(({ disk }) => disk.id === diskId).length * UNIT_BYTES;
  }

  /** A paused machine that gave its state away and keeps it after all. */
  backToPaused(): void {
    this.#state = "paused";
  }

  /** Does something by itself, if its process lives by then. */
  later(delayMs: number, act: () => void): void {
    this.options.schedule.at(delayMs, () => this.isGone ? false : act());
  }

  /** It has given its whole state away. */
  gaveAway(): void {
    this.#state = "postmigrate";
    this.isAtGate = false;
    this.options.watch.trace(this.site, `machine ${this.name} is postmigrate`);
  }

  loaded(ticks: number): void {
    this.ticks = ticks;
    this.#state = "paused";
    this.hasArrived = true;
    this.options.watch.trace(this.site, `machine ${this.name} is loaded`);
  }

  /** A stopped process writes its disks' caches back; a killed one does not. */
  end(cause: EndCause, { flushes = false } = {}): void {
    if (this.isGone) return;
    this.options.watch.ends(this, cause);
    for (const { image } of this.disks) {
      if (flushes) image.flush();
      else image.lose(this.options.dice);
    }
    this.#state = "gone";
    this.options.watch.trace(this.site, `machine ${this.name} is gone (${cause})`);
    const event: GuestEvent = { kind: "gone", atMs: 0, guestInitiated: false };
    for (const listener of [...this.#listeners]) listener(event);
  }

  page(page: number): Buffer {
    return this.memory.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }

  /** Every page is dirty: a stream begins. */
  touchAll(): void {
    for (let page = 0; page < PAGE_COUNT; page++) this.dirtyPages.add(page);
  }

  disk(id: string): SimDisk {
    const disk = this.disks.find((each) => each.id === id);
    if (disk === undefined) throw new RangeError(`the machine has no disk ${id}`);
    return disk;
  }

  /** What differs from another machine's state; null when nothing does. */
  differenceFrom(other: SimMachine): string | null {
    if (this.ticks !== other.ticks) return `device state: tick ${this.ticks}, not ${other.ticks}`;
    for (let page = 0; page < PAGE_COUNT; page++) {
      if (!this.page(page).equals(other.page(page))) return `page ${page}`;
    }
    for (const { id, image } of this.disks) {
      const theirs = other.disk(id).image.content;
      for (let unit = 0; unit < image.unitCount; unit++) {
        const { offsetBytes, lengthBytes } = image.extentOf(unit);
        const end = offsetBytes + lengthBytes;
        const mine = Buffer.from(image.content.buffer, offsetBytes, lengthBytes);
        if (!mine.equals(theirs.subarray(offsetBytes, end))) return `disk ${id}, unit ${unit}`;
      }
    }
    return null;
  }

  #tell(kind: "stopped" | "resumed"): void {
    for (const listener of [...this.#listeners]) listener({ kind, atMs: 0 });
  }

  #powerOn(): void {
    const { dice } = this.options;
    this.#state = "paused";
    for (let page = 0; page < PAGE_COUNT; page++) if (dice.chance(0.7)) this.#writePage(page);
    // Of a block that is all data the destination knows what it holds, of others it does not.
    const share = dice.pick([0.3, 0.7, 1]);
    for (const { image } of this.disks) {
      for (let unit = 0; unit < image.unitCount; unit++) {
        if (dice.chance(share)) this.#writeUnit(image, unit, 0);
      }
    }
  }

  /** Its own writes are on storage at once: what it may lose itself is its own affair. */
  #work(stint: number): void {
    const { schedule, dice, workload } = this.options;
    const waitMs = workload.everyMs * dice.between(0.5, 1.5) / this.#speed;
    schedule.at(waitMs, () => {
      if (this.#state !== "running" || stint !== this.#stints) return false;
      this.ticks++;
      for (let writes = dice.below(workload.pagesMax + 1); writes > 0; writes--) {
        // Some pages are written all the time.
        const page = dice.chance(0.5) ? dice.below(6) : dice.below(PAGE_COUNT);
        this.#writePage(page);
        this.dirtyPages.add(page);
      }
      for (let writes = dice.below(workload.unitsMax + 1); writes > 0; writes--) {
        const disk = dice.pick(this.disks);
        this.#waiting.push({ disk, unit: dice.below(disk.image.unitCount) });
      }
      this.#writeWaiting((this.#diskBytesPerSecondMax ?? Infinity) * waitMs / 1000);
      this.#work(stint);
      // Nobody waits for what a machine writes.
      return false;
    });
  }

  get #speed(): number {
    return 1 - this.cpuThrottleShare;
  }

  /** @param bytes that its cap lets through beside what it has left */
  #writeWaiting(bytes: number): void {
    this.#diskCredit = Math.min(this.#diskCredit + bytes, Math.max(bytes, UNIT_BYTES));
    let count = 0;
    for (const { disk, unit } of this.#waiting) {
      if (this.#diskCredit < UNIT_BYTES) break;
      this.#diskCredit -= UNIT_BYTES;
      this.#writeUnit(disk.image, unit);
      for (const dirty of disk.bitmaps.values()) dirty.add(unit);
      count++;
    }
    this.#waiting.splice(0, count);
  }

  #writePage(page: number): void {
    const { dice } = this.options;
    const content = this.page(page);
    const kind = dice.below(8);
    if (kind === 0) content.fill(0);
    else if (kind === 1) content.set(this.page(dice.below(PAGE_COUNT)));
    else if (kind < 5) content.writeUInt32LE(dice.nextUint32(), 4 * dice.below(PAGE_BYTES / 4));
    else this.#fill(content);
  }

  #writeUnit(image: SimImage, unit: number, zeroRatio = 0.15): void {
    const { dice } = this.options;
    const { offsetBytes, lengthBytes } = image.extentOf(unit);
    if (dice.chance(zeroRatio)) return image.zero(offsetBytes, lengthBytes, { cached: false });
    const content = Buffer.alloc(Math.min(UNIT_BYTES, lengthBytes));
    this.#fill(content);
    image.write(offsetBytes, content, { cached: false });
  }

  /** One word, over and over: the cost of filling and packing is not what is looked at here. */
  #fill(content: Buffer): void {
    const { dice, workload } = this.options;
    const words = new Uint32Array(content.buffer, content.byteOffset, content.byteLength >> 2);
    if (workload.packs) return void words.fill(dice.nextUint32());
    for (let i = 0; i < words.length; i++) words[i] = dice.nextUint32();
  }
}
