import type { Clock } from "../core/clock.ts";
import { type OpenBatch, pack } from "../codec/envelope.ts";
import type { Sealer } from "../codec/sealer.ts";
import { Packer, type WorkerPort } from "./packer.ts";
import { SLOT_BODY_BYTES, SLOTS_PER_WORKER } from "./slots.ts";

/** A shorter batch is packed in less time than its way to a worker and back takes (70 to 90 µs). */
export const WORKER_BODY_BYTES_MIN = 32 * 1024;
/** Packed here before the first worker is started: its start costs as much CPU (30 ms) as these. */
export const WARM_UP_BYTES = 8 * 1024 * 1024;
/** Workers that had nothing to do for so long are ended; each holds some 13 MB. */
export const WORKER_IDLE_MS = 30_000;
/** Workers that may die one after the other without having packed anything. */
const DEATHS_MAX = 3;

export interface WorkerSealerOptions {
  /** Most workers at once; 0: everything is packed here. */
  readonly workers: number;
  readonly clock: Pick<Clock, "nowMs" | "sleep">;
  readonly log: (level: "warn", message: string) => void;
  readonly warmUpBytes?: number;
  /** Starts a worker; may throw where workers cannot be had. */
  readonly start?: () => WorkerPort;
}

/** Cores but the one that reads, encodes and sends; at least one. */
export function workersForThisMachine(): number {
  return Math.max(1, navigator.hardwareConcurrency - 1);
}

/**
 * Packs on workers, which all moves share. A batch goes to a worker that has room, else it is packed
 * at once by who brought it: nothing ever waits here for longer than the two batches of its worker
 * take, and memory is bounded by the slots.
 */
export class WorkerSealer implements Sealer {
  readonly #packers: Packer[] = [];
  #isClosed = false;
  #inlineBytes = 0;
  #deaths = 0;
  #lastUsedMs = 0;
  #watching: AbortController | null = null;

  constructor(private readonly options: WorkerSealerOptions) {}

  get ahead(): number {
    const { workers } = this.options;
    // One more than fits the workers, which the caller's thread packs: no core is left idle.
    return this.#canStart || this.#packers.length > 0 ? workers * SLOTS_PER_WORKER + 1 : 1;
  }

  /** Workers that run. */
  get workerCount(): number {
    return this.#packers.length;
  }

  // Async: a batch that cannot be packed is a rejection.
  // deno-lint-ignore require-await
  async seal(batch: OpenBatch): Promise<Uint8Array> {
    const packer = this.#packerFor(batch);
    return packer === null ? pack(batch) : packer.seal(batch);
  }

  /** Starts a worker before it is needed: a move's first round trips leave the time for that. */
  expect(bytes: number): void {
    const { workers, warmUpBytes = WARM_UP_BYTES, clock } = this.options;
    if (bytes <= warmUpBytes || workers === 0 || this.#packers.length > 0 || !this.#canStart) {
      return;
    }
    this.#lastUsedMs = clock.nowMs();
    this.#startPacker();
  }

  /** Ends all workers; what they have is packed here, and so is everything that comes later. */
  close(): void {
    this.#isClosed = true;
    this.#endAll();
  }

  get #canStart(): boolean {
    return !this.#isClosed && this.options.workers > 0 && this.#deaths < DEATHS_MAX;
  }

  #packerFor({ body, level }: OpenBatch): Packer | null {
    const { byteLength } = body;
    if (level === null || byteLength < WORKER_BODY_BYTES_MIN || byteLength > SLOT_BODY_BYTES) {
      return null;
    }
    this.#lastUsedMs = this.options.clock.nowMs();
    const least = this.#packers.reduce<Packer | null>(
      (best, each) => best === null || each.pendingCount < best.pendingCount ? each : best,
      null,
    );
    if (least !== null && least.pendingCount === 0) return least;
    if (this.#packers.length < this.options.workers && this.#canStart) {
      if (this.#inlineBytes >= (this.options.warmUpBytes ?? WARM_UP_BYTES)) {
        const started = this.#startPacker();
        if (started !== null) return started;
      }
      this.#inlineBytes += byteLength;
    }
    return least === null || least.isFull ? null : least;
  }

  #startPacker(): Packer | null {
    const { start = startWorker } = this.options;
    try {
      const packer: Packer = new Packer(start(), (reason) => this.#died(packer, reason));
      this.#packers.push(packer);
      this.#watchIdle();
      return packer;
    } catch (error) {
      this.#countDeath(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  #died(packer: Packer, reason: string): void {
    this.#packers.splice(this.#packers.indexOf(packer), 1);
    if (packer.packedCount > 0) this.#deaths = 0;
    this.#countDeath(reason);
    if (this.#packers.length === 0) this.#stopWatching();
  }

  #countDeath(reason: string): void {
    const next = ++this.#deaths < DEATHS_MAX ? "another takes its place" : "no more are started";
    this.options.log("warn", `a compression worker ended: ${reason}; ${next}`);
  }

  #watchIdle(): void {
    if (this.#watching !== null) return;
    const watching = new AbortController();
    this.#watching = watching;
    const { clock } = this.options;
    const watch = async () => {
      for (;;) {
        const leftMs = this.#lastUsedMs + WORKER_IDLE_MS - clock.nowMs();
        if (leftMs <= 0) return this.#endAll();
        await clock.sleep(leftMs, watching.signal);
      }
    };
    watch().catch(() => {});
  }

  #stopWatching(): void {
    this.#watching?.abort();
    this.#watching = null;
  }

  #endAll(): void {
    this.#stopWatching();
    for (const packer of this.#packers.splice(0)) packer.end();
    this.#inlineBytes = 0;
  }
}

function startWorker(): WorkerPort {
  return new Worker(new URL("./seal_worker.ts", import.meta.url), { type: "module" });
}
