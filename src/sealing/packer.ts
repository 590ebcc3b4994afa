import { type OpenBatch, pack } from "../codec/envelope.ts";
import { type SealedSlot, type SealJob, SealSlots, SLOTS_PER_WORKER } from "./slots.ts";

/** What a packer needs of a `Worker`. */
export interface WorkerPort {
  onmessage: ((event: MessageEvent<SealedSlot>) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(message: SharedArrayBuffer | SealJob): void;
  terminate(): void;
}

interface Pending {
  readonly job: SealJob;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** One worker and the batches that it has. */
export class Packer {
  /** Batches packed by the worker so far. */
  packedCount = 0;
  readonly #slots = new SealSlots();
  readonly #pending: (Pending | null)[] = Array.from({ length: SLOTS_PER_WORKER }, () => null);
  #isEnded = false;

  /** @param onDeath called once, when the worker ends by itself */
  constructor(private readonly worker: WorkerPort, onDeath: (reason: string) => void) {
    worker.onmessage = ({ data }) => this.#sealed(data);
    const died = (reason: string) => {
      if (this.#isEnded) return;
      this.end();
      onDeath(reason);
    };
    worker.onerror = (event) => {
      // Otherwise it would end the gateway.
      event.preventDefault();
      died(event.message);
    };
    worker.onmessageerror = () => died("an answer could not be read");
    worker.postMessage(this.#slots.memory);
  }

  get pendingCount(): number {
    return this.#pending.filter((pending) => pending !== null).length;
  }

  get isFull(): boolean {
    return !this.#pending.includes(null);
  }

  /** Gives the worker a batch that fits a slot and has a level, while one is free. */
  seal(batch: OpenBatch): Promise<Uint8Array> {
    const slot = this.#pending.indexOf(null);
    const { body, contentsBytes, level } = batch;
    if (slot < 0 || level === null) throw new RangeError("A packer takes no such batch");
    this.#slots.put(slot, batch);
    const job = { slot, bodyBytes: body.byteLength, contentsBytes, level };
    return new Promise((resolve, reject) => {
      this.#pending[slot] = { job, resolve, reject };
      this.worker.postMessage(job);
    });
  }

  /** Ends the worker; what it had not answered is packed here. Idempotent. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.worker.terminate();
    for (const pending of this.#pending) {
      if (pending === null) continue;
      try {
        pending.resolve(pack(this.#ownBatch(pending.job)));
      } catch (error) {
        pending.reject(error);
      }
    }
    this.#pending.fill(null);
  }

  /** A copy: the worker may still write while it is being ended, though never into a body. */
  #ownBatch(job: SealJob): OpenBatch {
    const batch = this.#slots.batchOf(job);
    return { ...batch, body: batch.body.slice() };
  }

  #sealed(sealed: SealedSlot): void {
    const pending = this.#pending[sealed.slot];
    if (this.#isEnded || !pending) return;
    this.#pending[sealed.slot] = null;
    this.packedCount++;
    // `slice` copies out of the shared memory: a payload is kept until the peer has applied it.
    pending.resolve(this.#slots.payloadOf(sealed).slice());
  }
}
