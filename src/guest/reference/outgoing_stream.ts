import { GatewayError } from "../../core/errors.ts";
import { checkCpuThrottle } from "../throttles.ts";
import type { Bitmap } from "./bitmap.ts";
import type { MachineMemory } from "./memory.ts";
import { closeQuietly, type Head, type MessageReader, MessageWriter } from "./messages.ts";
import { ITEM_PAGES_MAX, ITEM_RANGES_MAX, type Result } from "./protocol.ts";
import { PAGE_BYTES } from "./units.ts";

/** What a stream asks of the machine that it belongs to. */
export interface OutgoingHost {
  readonly memory: MachineMemory;
  /** What this page holds is nobody's until the machine has written it again. */
  isFree(page: number): boolean;
  cpuState(): Uint8Array;
  readonly cpuThrottleShare: number;
  /** Takes this share of its processor time away from the machine, until the stream is over. */
  throttleCpu(share: number): void;
  /** The stream has reached the gate: pause. */
  reachedGate(): void;
  /** The peer has everything. */
  gaveAway(): void;
  /** The stream is over without that; `keepPaused` when it was lost at the gate. */
  ended(end: { keepPaused: boolean }): void;
}

/** What its gateway asks of a stream. */
export interface OutgoingOptions {
  /** Free pages travel like others. */
  readonly sendFree: boolean;
  /** The machine may be held back. */
  readonly mayThrottleCpu: boolean;
}

/** Between passes while held, so that a clean memory costs nothing. */
const HELD_PASS_MS = 20;
/** After the release the machine pauses when this little is left, … */
const GATE_PAGES = 256;
/** … or after so many passes at the latest. */
const RELEASED_PASSES_MAX = 2;
/** Pages looked at before the machine gets a turn again. */
const SCAN_PAGES_MAX = 65_536;
const RATE_WINDOW_MS = 1000;
const NO_BODY = new Uint8Array(0);

/** One memory stream on its way out; `protocol.ts` has the sequence. */
export class OutgoingStream {
  readonly #writer: MessageWriter;
  readonly #dirty: Bitmap;
  readonly #gate = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  readonly #ack = Promise.withResolvers<void>();
  #phase: "copying" | "gate" | "finishing" | "ended" = "copying";
  #released = false;
  #finishAsked = false;
  #cancelled = false;
  #lost = false;
  #pass = 0;
  #bandwidth = Infinity;
  #nextSendMs = 0;
  #wake: () => void = () => {};
  readonly #rateSamples: { atMs: number; dirtied: number }[] = [];
  /** Contents start here; page numbers stand right before them, however many there are. */
  readonly #body = new Uint8Array(ITEM_PAGES_MAX * (4 + PAGE_BYTES));
  readonly #indexes = new Uint32Array(ITEM_PAGES_MAX);

  /** @param reader has read the connection's first message, and may have read ahead */
  constructor(
    private readonly host: OutgoingHost,
    private readonly connection: Deno.Conn,
    private readonly reader: MessageReader,
    private readonly options: OutgoingOptions,
  ) {
    this.#writer = new MessageWriter(connection);
    this.#dirty = host.memory.trackAll();
    for (const { promise } of [this.#gate, this.#finished, this.#ack]) promise.catch(() => {});
  }

  /** Resolves when the stream is over and the machine is in the state that follows from it. */
  async run(): Promise<void> {
    const watching = this.#watchPeer();
    try {
      await this.#copyUntilGate();
      this.#phase = "gate";
      this.host.reachedGate();
      this.#gate.resolve();
      while (!this.#finishAsked) await this.#wait(Infinity);
      this.#phase = "finishing";
      await this.#sendPass();
      await this.#send({ item: "opaque" }, this.host.cpuState());
      await this.#send({ item: "end" });
      await this.#ack.promise;
      this.#phase = "ended";
      this.host.gaveAway();
      this.#finished.resolve();
    } catch (thrown) {
      const keepPaused = this.#phase === "gate" && !this.#cancelled;
      this.#phase = "ended";
      this.host.ended({ keepPaused });
      for (const waiting of [this.#gate, this.#finished]) waiting.reject(streamFailure(thrown));
    } finally {
      this.host.memory.stopTracking();
      closeQuietly(this.connection);
      await watching;
    }
  }

  get beforeGate(): boolean {
    return this.#phase === "copying";
  }

  release(): Promise<void> {
    this.#released = true;
    this.#wake();
    return this.#gate.promise;
  }

  finish(): Promise<void> {
    if (this.#phase === "copying") throw outOfOrder("finish the stream", "not at the gate");
    this.#finishAsked = true;
    this.#wake();
    return this.#finished.promise;
  }

  cancel(): void {
    this.#cancelled = true;
    closeQuietly(this.connection);
    this.#ack.reject(new Error("cancelled"));
    this.#wake();
  }

  setBandwidth(bytesPerSecond: number): void {
    this.#bandwidth = bytesPerSecond;
    this.#nextSendMs = 0;
    this.#wake();
  }

  /** Within a stream the share only rises, as with other hypervisors. */
  throttleCpu(share: number): void {
    checkCpuThrottle(share, this.options.mayThrottleCpu);
    this.host.throttleCpu(Math.max(share, this.host.cpuThrottleShare));
  }

  /** To be called after each tick: keeps the account of how fast memory gets dirty. */
  sampleRate(): void {
    const atMs = performance.now();
    this.#rateSamples.push({ atMs, dirtied: this.host.memory.dirtiedPages });
    while (this.#rateSamples[0].atMs < atMs - RATE_WINDOW_MS) this.#rateSamples.shift();
  }

  progress(): Result<"memoryProgress"> {
    const first = this.#rateSamples.at(0);
    const last = this.#rateSamples.at(-1);
    const seconds = first && last ? (last.atMs - first.atMs) / 1000 : 0;
    const dirtied = first && last ? last.dirtied - first.dirtied : 0;
    return {
      totalBytes: this.host.memory.lengthBytes,
      remainingBytes: this.#dirty.count * PAGE_BYTES,
      dirtyBytesPerSecond: seconds > 0 ? Math.round(dirtied * PAGE_BYTES / seconds) : 0,
      pass: Math.max(1, this.#pass),
      cpuThrottleShare: this.options.mayThrottleCpu ? this.host.cpuThrottleShare : null,
    };
  }

  async #copyUntilGate(): Promise<void> {
    const { lengthBytes } = this.host.memory;
    await this.#send({ item: "layout", pageBytes: PAGE_BYTES, lengthBytes });
    for (let releasedPasses = 0;;) {
      this.#pass++;
      await this.#sendPass();
      if (this.#released) {
        if (this.#dirty.count <= GATE_PAGES || releasedPasses >= RELEASED_PASSES_MAX) return;
        releasedPasses++;
      } else await this.#wait(HELD_PASS_MS);
    }
  }

  /**
   * Sends every page that is dirty when the pass comes to it, none of them twice. One that is free
   * then is left out: before it is used again it is written, and that makes it dirty.
   */
  async #sendPass(): Promise<void> {
    const { host, options } = this;
    const { memory } = host;
    const contentsAt = ITEM_PAGES_MAX * 4;
    const ranges: number[] = [];
    for (let page = this.#dirty.next(0); page >= 0;) {
      let count = 0;
      for (let scanned = 0; page >= 0 && scanned < SCAN_PAGES_MAX; scanned++) {
        if (count === ITEM_PAGES_MAX || ranges.length >= 2 * ITEM_RANGES_MAX) break;
        // Cleared before it is read: a write after the copy sets it again.
        this.#dirty.delete(page);
        if (!options.sendFree && host.isFree(page)) {
          // Left out.
        } else if (memory.isZero(page)) {
          const at = ranges.length - 2;
          if (at >= 0 && ranges[at] + ranges[at + 1] === page) ranges[at + 1]++;
          else ranges.push(page, 1);
        } else {
          this.#indexes[count] = page;
          memory.copyOut(page, this.#body, contentsAt + count * PAGE_BYTES);
          count++;
        }
        page = this.#dirty.next(page + 1);
      }
      // They wait for company: a short message costs whoever carries it nearly as much as a long
      // one. A scan that found nothing else sends them, so that the machine gets a turn.
      if (page < 0 || count === 0 || ranges.length >= 2 * ITEM_RANGES_MAX) {
        if (ranges.length > 0) {
          await this.#send({ item: "zeros" }, new Uint8Array(Uint32Array.from(ranges).buffer));
        }
        ranges.length = 0;
      }
      if (count > 0) {
        const start = contentsAt - count * 4;
        this.#body.set(new Uint8Array(this.#indexes.buffer, 0, count * 4), start);
        const end = contentsAt + count * PAGE_BYTES;
        await this.#send({ item: "pages", count }, this.#body.subarray(start, end));
      } else if (page >= 0) {
        // Nothing was sent that would have given the machine a turn.
        await new Promise((resolve) => setImmediate(resolve));
        this.#check();
      }
    }
  }

  async #send(head: Head, body: Uint8Array = NO_BODY): Promise<void> {
    this.#check();
    await this.#writer.send(head, body);
    this.#check();
    if (this.#released || this.#bandwidth === Infinity) return;
    const bytes = 64 + body.length;
    const nowMs = performance.now();
    this.#nextSendMs = Math.max(this.#nextSendMs, nowMs) + bytes / this.#bandwidth * 1000;
    while (!this.#released && performance.now() < this.#nextSendMs) {
      await this.#wait(this.#nextSendMs - performance.now());
    }
  }

  /** Waits for `ms` at most; ends early when anything that matters to the stream has changed. */
  async #wait(ms: number): Promise<void> {
    this.#check();
    await new Promise<void>((resolve) => {
      const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#check();
  }

  #check(): void {
    if (this.#cancelled) throw new Error("the stream was cancelled");
    if (this.#lost) throw new Error("the connection was lost");
  }

  /** The gateway says one thing, at the end; anything else means that it is gone. */
  async #watchPeer(): Promise<void> {
    const message = await this.reader.next(0).catch(() => null);
    if (message?.head.ack === true) {
      this.#ack.resolve();
      return;
    }
    this.#lost = true;
    this.#ack.reject(new Error("the connection was lost"));
    this.#wake();
  }
}

function streamFailure(cause: unknown): GatewayError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new GatewayError("memory_stream_failed", `Cannot go on with the stream: ${message}`, {
    hint: "Start the move again",
    cause,
  });
}

/** `guest_state`: a step that the machine's present state does not allow. */
export function outOfOrder(action: string, state: string): GatewayError {
  return new GatewayError("guest_state", `Cannot ${action}: the machine is ${state}`, {
    hint: "See the machine's run state; cancel or restore the move first",
  });
}
