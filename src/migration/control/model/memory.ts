import type { MemoryMeasurement } from "../measurement.ts";
import type { MachineModel } from "./machine_model.ts";

/** What a page costs that the destination has already: its number. */
const UNCHANGED_WIRE_RATIO = 0.002;
/** A pass over nothing takes this long, ms. */
const PASS_MS_MIN = 100;
/** The ratio of what was sent is remembered over this many raw bytes. */
const RATIO_BYTES = 6 * 1024 * 1024;

/**
 * One set of pages: dirty and unread, of that known to the pass, parked, of that since before the
 * pass, and never sent yet; raw bytes.
 */
interface SetState {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  dirty: number;
  counted: number;
  parked: number;
  older: number;
  fresh: number;
}

/**
 * Memory and its stream as fluids: writes dirty pages of their sets, passes read what was dirty at
 * their beginning into the pool, and the link takes it from there, what is written rarely first. A
 * page written again while it is parked is read again and takes its own place.
 */
export class MemoryFluid {
  readonly #sets: SetState[];
  readonly #totalBytes: number;
  readonly #coldBytes: number;
  #cold = { unread: 0, parked: 0, wireRatio: 0 };
  #isRunning = false;
  #hasCopied = false;
  #pass = 0;
  #passMs = 0;
  #readBytes = 0;
  #dirtyBytesPerSecond: number | null = null;
  #sent = { raw: 1, wire: 1 };

  constructor(private readonly machine: MachineModel) {
    this.#sets = machine.written.map((set) => ({
      ...set,
      dirty: 0,
      counted: 0,
      parked: 0,
      older: 0,
      fresh: set.bytes,
    }));
    this.#totalBytes = machine.memoryBytes;
    const written = this.#sets.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#coldBytes = Math.max(0, machine.memoryBytes - written);
    this.#sent.wire = machine.memoryWireRatio;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** A stream begins: everything is dirty, and what the destination has costs next to nothing. */
  start(): void {
    const { memoryWireRatio } = this.machine;
    let changed = 0;
    for (const set of this.#sets) {
      if (!this.#hasCopied) set.dirty = set.bytes;
      else set.dirty += set.parked * (1 - set.dirty / Math.max(1, set.bytes));
      set.parked = 0;
      set.older = 0;
      set.counted = set.dirty;
      changed += set.dirty;
    }
    const unread = this.#hasCopied ? this.#totalBytes - changed : this.#coldBytes;
    const wireRatio = this.#hasCopied ? UNCHANGED_WIRE_RATIO : memoryWireRatio;
    this.#cold = { unread, parked: 0, wireRatio };
    this.#isRunning = true;
    this.#pass = 1;
    this.#passMs = 0;
    this.#readBytes = 0;
    this.#dirtyBytesPerSecond = null;
  }

  /** The stream ends. What was parked is not there, and stays dirty. */
  stop(): void {
    this.#isRunning = false;
    for (const set of this.#sets) {
      set.dirty += set.parked * (1 - set.dirty / Math.max(1, set.bytes));
      set.parked = 0;
      set.older = 0;
    }
  }

  /** The machine writes for a while. */
  write(ms: number, factor: number): void {
    for (const set of this.#sets) {
      if (set.bytes <= 0 || set.bytesPerSecond <= 0 || factor <= 0) continue;
      const share = 1 - Math.exp(-set.bytesPerSecond * factor * ms / 1000 / set.bytes);
      set.dirty += (set.bytes - set.dirty) * share;
    }
  }

  /** The stream is read for a while. */
  read(ms: number): void {
    if (!this.#isRunning) return;
    this.#passMs += ms;
    const room = Math.max(0, this.machine.poolBytes - this.parkedRawBytes);
    const left = this.#countedBytes;
    const most = Math.min(this.machine.readBytesPerSecond * ms / 1000, room, left);
    const share = left <= 0 ? 0 : most / left;
    this.#readBytes += most;
    this.#cold.parked += this.#cold.unread * share;
    this.#cold.unread -= this.#cold.unread * share;
    for (const set of this.#sets) {
      const bytes = set.counted * share;
      set.counted -= bytes;
      set.dirty = Math.max(0, set.dirty - bytes);
      // A pass meets each page once: it takes the place of one that was parked before it.
      const replaced = bytes * set.older / Math.max(1, set.bytes);
      set.older -= replaced;
      set.parked += bytes - replaced;
    }
    if (this.#countedBytes < 1 && this.#passMs >= PASS_MS_MIN) this.#beginPass();
  }

  /** @returns wire bytes that the link took, up to `wireBytes` */
  send(wireBytes: number): number {
    const cold = Math.min(wireBytes, this.#cold.parked * this.#cold.wireRatio);
    this.#cold.parked -= cold / this.#cold.wireRatio || 0;
    const parked = this.#sets.reduce((sum, set) => sum + set.parked, 0);
    const parkedWire = this.#parkedWireBytesOfSets;
    const hot = Math.min(wireBytes - cold, parkedWire);
    const share = parkedWire <= 0 ? 0 : hot / parkedWire;
    for (const set of this.#sets) {
      set.fresh -= Math.min(set.fresh, set.parked) * share;
      set.parked -= set.parked * share;
      set.older -= set.older * share;
    }
    const isNew = this.#cold.wireRatio !== UNCHANGED_WIRE_RATIO;
    this.#count(
      (isNew ? cold / this.#cold.wireRatio : 0) + parked * share,
      (isNew ? cold : 0) + hot,
    );
    return cold + hot;
  }

  /** At the gate: the machine counts what is dirty. */
  sync(): void {
    for (const set of this.#sets) set.counted = set.dirty;
  }

  /** Wire bytes that are parked. */
  get parkedWireBytes(): number {
    return this.#cold.parked * this.#cold.wireRatio + this.#parkedWireBytesOfSets;
  }

  /** What was never sent costs what a first copy does, however often it was read again meanwhile. */
  get #parkedWireBytesOfSets(): number {
    const { rewriteWireRatio, memoryWireRatio } = this.machine;
    return this.#sets.reduce((sum, { parked, fresh }) => {
      const first = Math.min(parked, fresh);
      return sum + first * memoryWireRatio + (parked - first) * rewriteWireRatio;
    }, 0);
  }

  get parkedRawBytes(): number {
    return this.#sets.reduce((sum, set) => sum + set.parked, this.#cold.parked);
  }

  /** In truth, wire bytes that the destination lacks. */
  get missingWireBytes(): number {
    const { rewriteWireRatio, memoryWireRatio } = this.machine;
    const dirty = this.#sets.reduce((sum, set) => {
      const first = Math.max(0, Math.min(set.dirty, set.fresh - set.parked));
      return sum + first * memoryWireRatio + (set.dirty - first) * rewriteWireRatio;
    }, 0);
    return this.parkedWireBytes + this.#cold.unread * this.#cold.wireRatio + dirty;
  }

  /** @param linkWireBytes taken by the link and not applied */
  measure(linkWireBytes: number): MemoryMeasurement | null {
    if (!this.#isRunning) return null;
    return {
      totalBytes: this.#totalBytes,
      remainingBytes: this.#countedBytes,
      isCountedLive: false,
      pass: this.#pass,
      dirtyBytesPerSecond: this.#dirtyBytesPerSecond,
      parkedWireBytes: this.parkedWireBytes + linkWireBytes,
      readBytes: this.#readBytes,
      wireRatio: this.#sent.wire / this.#sent.raw,
    };
  }

  get #countedBytes(): number {
    return this.#sets.reduce((sum, set) => sum + set.counted, this.#cold.unread);
  }

  #beginPass(): void {
    const dirty = this.#sets.reduce((sum, set) => sum + set.dirty, 0);
    this.#dirtyBytesPerSecond = dirty * 1000 / this.#passMs;
    this.sync();
    for (const set of this.#sets) set.older = set.parked;
    this.#pass++;
    this.#passMs = 0;
    if (this.#cold.parked < 1 && this.#cold.unread < 1) this.#hasCopied = true;
  }

  #count(raw: number, wire: number): void {
    const kept = Math.max(0, 1 - raw / RATIO_BYTES);
    this.#sent = { raw: this.#sent.raw * kept + raw, wire: this.#sent.wire * kept + wire };
  }
}
