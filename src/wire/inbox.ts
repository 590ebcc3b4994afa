import { invariant } from "../core/assert.ts";
import { frameCost } from "./outbox.ts";
import type { SequenceRange } from "./session_records.ts";

export interface InFrame {
  readonly type: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** The receiving half of one channel: restores order, drops duplicates, knows what was applied. */
export class Inbox {
  /** Everything up to this was received. */
  receivedUpTo = 0;
  appliedUpTo = 0;
  /** Costs of frames received and not applied. */
  heldCost = 0;
  /** Payload bytes applied since the last acknowledgement was sent. */
  unreportedBytes = 0;
  /** True when the peer should hear `appliedUpTo`. */
  ackPending = false;

  #deliveredUpTo = 0;
  readonly #held = new Map<number, InFrame>();

  has(sequence: number): boolean {
    return sequence <= this.receivedUpTo || this.#held.has(sequence);
  }

  /** Keeps a frame that was not received before. */
  accept(frame: InFrame): void {
    invariant(!this.has(frame.sequence), "duplicates are dropped before");
    this.#held.set(frame.sequence, frame);
    this.heldCost += frameCost(frame.payload);
    while (this.#held.has(this.receivedUpTo + 1)) this.receivedUpTo++;
  }

  /** The next frame in order, once; null while it has not arrived. */
  deliver(): InFrame | null {
    const frame = this.#held.get(this.#deliveredUpTo + 1);
    if (frame === undefined) return null;
    this.#deliveredUpTo++;
    return frame;
  }

  /** The delivered frame of this number took effect. */
  applied(sequence: number): void {
    invariant(
      sequence === this.appliedUpTo + 1 && sequence <= this.#deliveredUpTo,
      "frames are applied in order, after delivery",
    );
    const frame = this.#held.get(sequence)!;
    this.#held.delete(sequence);
    this.heldCost -= frameCost(frame.payload);
    this.unreportedBytes += frame.payload.byteLength;
    this.appliedUpTo = sequence;
    this.ackPending = true;
  }

  reported(): void {
    this.ackPending = false;
    this.unreportedBytes = 0;
  }

  /** What was received beyond `receivedUpTo`. */
  ahead(): SequenceRange[] {
    const sequences = [...this.#held.keys()].filter((sequence) => sequence > this.receivedUpTo);
    const ranges: [number, number][] = [];
    for (const sequence of sequences.sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === sequence - 1) last[1] = sequence;
      else ranges.push([sequence, sequence]);
    }
    return ranges;
  }

  clear(): void {
    this.#held.clear();
    this.heldCost = 0;
  }
}
