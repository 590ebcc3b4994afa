import { Buffer } from "node:buffer";
import { GatewayError } from "../../core/errors.ts";
import type { MemoryProgress, MemorySource } from "../../guest/guest.ts";
import { checkCpuThrottle } from "../../guest/throttles.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { Dice } from "./dice.ts";
import { LAYOUT, PAGE_BYTES, placeOf, type SimMachine } from "./machine.ts";
import type { SimProcess } from "./process.ts";

/** Bytes of device state behind the memory: its ticks, and something that no page looks like. */
const DEVICE_BYTES = 40;
/** A machine that is released and still writes too much is stopped all the same. */
const FORCED_AFTER_MS = 300;
/** What may be left when it stops by itself. */
const SMALL_PAGES = 8;
const LOOK_MS = 10;
const PASS_PAUSE_MS = 60;
/** A machine that lost its reader notices at its next write. */
const NOTICED_MS = 200;

/** How a group of calls to a machine is made: see `SimGuest`. */
export type MachineCall = <T>(name: string, act: () => T | Promise<T>) => Promise<T>;

type Phase = "passing" | "gate" | "device" | "completed" | "broken" | "cancelled";

export interface StreamShape {
  /** Time that the machine takes for each group of items. */
  readonly groupMs: number;
  /** False: it pauses by itself when little is left, as QEMU before 8.1. */
  readonly holds: boolean;
  readonly mayThrottleCpu: boolean;
}

/**
 * One run of a machine's outgoing migration and what the gateway holds of it. What the machine does
 * when its reader is lost depends on the phase (design, section 3 rule 3b).
 */
export class SimMemoryStream implements MemorySource {
  #phase: Phase = "passing";
  #passCount = 0;
  #pass: number[] = [];
  #isReleased = false;
  #isGivenUp = false;
  readonly #ended = Promise.withResolvers<void>();
  readonly #runsAfterwards: boolean;

  constructor(
    private readonly machine: SimMachine,
    private readonly process: SimProcess,
    private readonly call: MachineCall,
    private readonly dice: Dice,
    private readonly shape: StreamShape,
  ) {
    this.#runsAfterwards = machine.runState === "running";
    this.#ended.promise.catch(() => {});
    machine.touchAll();
    this.#beginPass();
  }

  get isOver(): boolean {
    return this.#phase === "completed" || this.#phase === "broken" || this.#phase === "cancelled";
  }

  async *items(): AsyncGenerator<MemoryItem[]> {
    yield await this.call("memory.items", () => [LAYOUT]);
    for (;;) {
      const items = await this.call("memory.items", () => this.#next());
      if (items === null) return;
      if (items.length > 0) yield items;
      await this.process.pause(this.shape.groupMs);
    }
  }

  progress(): Promise<MemoryProgress> {
    return this.call("memory.progress", () => ({
      totalBytes: this.machine.memory.byteLength,
      remainingBytes: this.#leftPages() * PAGE_BYTES,
      dirtyBytesPerSecond: this.machine.dirtyPagesPerSecond * PAGE_BYTES,
      pass: this.#passCount,
      cpuThrottleShare: this.shape.mayThrottleCpu ? this.machine.cpuThrottleShare : null,
    }));
  }

  setBandwidth(): Promise<void> {
    return this.call("memory.setBandwidth", () => {});
  }

  throttleCpu(share: number): Promise<void> {
    return this.call("memory.throttleCpu", () => {
      checkCpuThrottle(share, this.shape.mayThrottleCpu);
      if (this.isOver) throw failed("it has ended");
      this.machine.cpuThrottleShare = Math.max(this.machine.cpuThrottleShare, share);
    });
  }

  async pauseAtGate(): Promise<{ pausedAtMs: number }> {
    await this.call("memory.pauseAtGate", () => void (this.#isReleased = true));
    const { clock } = this.process;
    for (const sinceMs = clock.nowMs();;) {
      const pausedAtMs = await this.call("memory.gate", () => {
        if (this.isOver) throw failed("it has ended");
        const isSmall = this.#passCount > 1 && this.#leftPages() <= SMALL_PAGES;
        const isForced = this.#passCount > 1 && clock.nowMs() - sinceMs > FORCED_AFTER_MS;
        if (this.#phase !== "gate" && !isSmall && !isForced) return null;
        this.#toGate();
        return clock.nowMs();
      });
      if (pausedAtMs !== null) return { pausedAtMs };
      await this.process.pause(LOOK_MS);
    }
  }

  async finish(): Promise<void> {
    await this.call("memory.finish", () => {
      if (this.#phase !== "gate") throw failed(`it is ${this.#phase}, not at its gate`);
      this.#phase = "device";
    });
    await this.#ended.promise;
    // The answer travels, and whoever waits for it may end meanwhile.
    await this.call("memory.finished", () => {});
  }

  async cancel(): Promise<void> {
    // Once asked, it is given up, whether the machine could be reached or not.
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    await this.call("memory.cancel", () => this.cancelNow());
  }

  /** What the monitor's cancel does at once. */
  cancelNow(): void {
    if (this.isOver) return;
    const { isAtGate } = this.machine;
    this.#end("cancelled");
    if (isAtGate) this.#runAgain();
  }

  /** The machine gives up, or its socket breaks: it goes on as before unless it stands at its gate. */
  break(): void {
    if (this.isOver) return;
    const isInDeviceState = this.#phase === "device";
    this.#end("broken");
    if (isInDeviceState || !this.machine.isAtGate) this.#runAgain();
  }

  /** Whoever read it is gone. */
  lost(later: (delayMs: number, act: () => void) => void): void {
    if (this.isOver || this.#phase === "gate") return;
    later(this.dice.between(0, NOTICED_MS), () => this.break());
  }

  #leftPages(): number {
    return this.#pass.length + this.machine.dirtyPages.size;
  }

  #beginPass(): void {
    this.#passCount++;
    this.#pass = [...this.machine.dirtyPages].sort((a, b) => a - b);
    this.machine.dirtyPages.clear();
  }

  /** The next group of items; empty while there is nothing to say, null at the end. */
  async #next(): Promise<MemoryItem[] | null> {
    if (this.#phase === "broken") throw failed("the machine gave up");
    if (this.#phase === "cancelled" || this.#phase === "completed") return null;
    if (this.#phase === "gate") {
      await this.process.pause(LOOK_MS);
      return [];
    }
    if (this.#pass.length === 0 && this.machine.dirtyPages.size > 0) this.#beginPass();
    if (this.#pass.length > 0) return this.#group();
    if (this.#phase === "device") {
      const items = deviceItems(this.machine.ticks);
      this.#end("completed");
      this.machine.gaveAway();
      return items;
    }
    if (!this.shape.holds && this.#passCount > 1) this.#toGate();
    await this.process.pause(PASS_PAUSE_MS);
    // With nothing dirty, too, a machine that is held looks at its memory again and again.
    if (this.#phase === "passing") this.#beginPass();
    return [];
  }

  #toGate(): void {
    if (this.#phase === "gate") return;
    this.#phase = "gate";
    this.machine.stop();
    this.machine.isAtGate = true;
  }

  #runAgain(): void {
    this.machine.isAtGate = false;
    if (this.#runsAfterwards && this.machine.runState === "paused") this.machine.run();
  }

  #end(phase: "completed" | "broken" | "cancelled"): void {
    this.#phase = phase;
    this.machine.dirtyPages.clear();
    this.machine.cpuThrottleShare = 0;
    if (phase === "completed") this.#ended.resolve();
    else this.#ended.reject(failed(`it was ${phase}`));
  }

  #group(): MemoryItem[] {
    const count = 1 + this.dice.below(16);
    const pages = this.#pass.splice(0, count);
    const { block } = placeOf(pages[0]);
    const others = pages.findIndex((page) => placeOf(page).block !== block);
    if (others > 0) this.#pass.unshift(...pages.splice(others));
    const isZero = (page: number) => this.machine.page(page).every((byte) => byte === 0);
    const zeros = pages.filter(isZero);
    const whole = pages.filter((page) => !isZero(page));
    const items: MemoryItem[] = [];
    if (zeros.length > 0) {
      const ranges = Uint32Array.from(zeros.flatMap((page) => [placeOf(page).index, 1]));
      items.push({ kind: "zeros", block, ranges });
    }
    if (whole.length > 0) {
      const contents = new Uint8Array(whole.length * PAGE_BYTES);
      whole.forEach((page, i) => contents.set(this.machine.page(page), i * PAGE_BYTES));
      const pageIndexes = Uint32Array.from(whole, (page) => placeOf(page).index);
      items.push({ kind: "pages", block, pageIndexes, contents });
    }
    return items;
  }
}

/** Device state, in two parts, as a real stream has many. */
function deviceItems(ticks: number): MemoryItem[] {
  const bytes = Buffer.alloc(DEVICE_BYTES, "device state ");
  bytes.writeUInt32LE(ticks, 0);
  const part = (from: number, to: number): MemoryItem => ({
    kind: "opaque",
    bytes: new Uint8Array(bytes.subarray(from, to)),
  });
  return [part(0, 7), part(7, DEVICE_BYTES)];
}

/** @returns what `deviceItems` was given; null where its parts are not all there */
export function readDeviceItems(items: readonly MemoryItem[]): number | null {
  const bytes = Buffer.concat(items.flatMap((item) => item.kind === "opaque" ? [item.bytes] : []));
  return bytes.byteLength === DEVICE_BYTES ? bytes.readUInt32LE(0) : null;
}

function failed(reason: string): GatewayError {
  return new GatewayError("memory_stream_failed", `Cannot read the machine's memory: ${reason}`, {
    hint: "The machine goes on at the source",
  });
}
