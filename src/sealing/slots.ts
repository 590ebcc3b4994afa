import type { OpenBatch } from "../codec/envelope.ts";
import { BATCH_HEADER_BYTES } from "../codec/envelope.ts";

/** Batches that one worker holds: the one that it packs, and the next, so that it never waits. */
export const SLOTS_PER_WORKER = 2;
/** Usual batches are filled to 256 KiB and a page; a longer one is packed where it was made. */
export const SLOT_BODY_BYTES = 512 * 1024;
const PAYLOAD_BYTES = SLOT_BODY_BYTES + BATCH_HEADER_BYTES;
const SLOT_BYTES = SLOT_BODY_BYTES + PAYLOAD_BYTES;

/** One batch for a worker; its body lies in the slot. */
export interface SealJob {
  readonly slot: number;
  readonly bodyBytes: number;
  readonly contentsBytes: number;
  readonly level: number;
}

/** A slot that holds a payload now. */
export interface SealedSlot {
  readonly slot: number;
  readonly payloadBytes: number;
}

/**
 * Memory that a worker and its owner share: for each slot a body and, apart from it, its payload, so
 * that the body of a worker that has died is still whole.
 */
export class SealSlots {
  constructor(readonly memory = new SharedArrayBuffer(SLOTS_PER_WORKER * SLOT_BYTES)) {}

  /** Copies a body into a slot. */
  put(slot: number, { body }: OpenBatch): void {
    new Uint8Array(this.memory, slot * SLOT_BYTES, body.byteLength).set(body);
  }

  /** The batch of a job, as it lies in its slot. */
  batchOf({ slot, bodyBytes, contentsBytes, level }: SealJob): OpenBatch {
    return {
      body: new Uint8Array(this.memory, slot * SLOT_BYTES, bodyBytes),
      contentsBytes,
      level,
    };
  }

  /** Where the payload of a slot is written to and read from. */
  payloadOf({ slot, payloadBytes }: SealedSlot): Uint8Array {
    return new Uint8Array(this.memory, slot * SLOT_BYTES + SLOT_BODY_BYTES, payloadBytes);
  }
}
