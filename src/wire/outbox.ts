import { invariant } from "../core/assert.ts";
import { FRAME_COST_BYTES } from "./limits.ts";
import type { StreamState } from "./session_records.ts";

/** A frame that the peer has not applied yet. */
export interface OutFrame {
  readonly sequence: number;
  readonly type: number;
  readonly payload: Uint8Array;
  /** Connection that carried it last; 0 before the first and while it waits to be sent again. */
  carrierId: number;
  /** The peer said that it holds it: never sent again, kept until applied. */
  received: boolean;
}

/** What a frame counts against windows and buffers. */
export function frameCost(payload: Uint8Array): number {
  return payload.byteLength + FRAME_COST_BYTES;
}

/** The sending half of one channel: numbers frames and keeps them until the peer applied them. */
export class Outbox {
  /** Payload bytes numbered and not acknowledged. */
  unacknowledgedBytes = 0;
  /** Costs of frames that were sent at least once and not acknowledged. */
  inFlightCost = 0;
  /** Payload bytes ever numbered, and ever sent for the first time; their difference is queued. */
  numberedBytes = 0;
  firstSentBytes = 0;
  acknowledgedUpTo = 0;
  /** Payload bytes that were sent another time, because a connection was lost or fell silent. */
  resentBytes = 0;

  /** Frames from `acknowledgedUpTo + 1` on. */
  #frames: OutFrame[] = [];
  /** Sequence number of the first frame never sent. */
  #cursor = 1;
  /** Frames to send again, ascending. */
  #again: OutFrame[] = [];

  get lastNumbered(): number {
    return this.acknowledgedUpTo + this.#frames.length;
  }

  /** Highest sequence number that ever left. */
  get lastSent(): number {
    return this.#cursor - 1;
  }

  /** Costs of frames numbered and not acknowledged. */
  get unacknowledgedCost(): number {
    return this.unacknowledgedBytes + this.#frames.length * FRAME_COST_BYTES;
  }

  get queuedBytes(): number {
    return this.numberedBytes - this.firstSentBytes;
  }

  push(type: number, payload: Uint8Array): number {
    const sequence = this.lastNumbered + 1;
    this.#frames.push({ sequence, type, payload, carrierId: 0, received: false });
    this.unacknowledgedBytes += payload.byteLength;
    this.numberedBytes += payload.byteLength;
    return sequence;
  }

  /** The frame to send next, and whether it is the first time; null when nothing waits. */
  peek(): { readonly frame: OutFrame; readonly first: boolean } | null {
    while (this.#again.length > 0) {
      const frame = this.#again[0];
      if (frame.sequence > this.acknowledgedUpTo && !frame.received) {
        return { frame, first: false };
      }
      this.#again.shift();
    }
    const frame = this.#frames[this.#cursor - this.acknowledgedUpTo - 1];
    return frame === undefined ? null : { frame, first: true };
  }

  /** Takes the frame that `peek` showed, as sent over `carrierId`. */
  take(carrierId: number): OutFrame {
    const next = this.peek();
    invariant(next !== null, "a frame is taken only when one waits");
    const { frame, first } = next;
    frame.carrierId = carrierId;
    if (first) {
      this.#cursor++;
      this.inFlightCost += frameCost(frame.payload);
      this.firstSentBytes += frame.payload.byteLength;
    } else {
      this.#again.shift();
      this.resentBytes += frame.payload.byteLength;
    }
    return frame;
  }

  /** Forgets frames up to `sequence`. @returns payload bytes freed */
  acknowledge(sequence: number): number {
    const count = sequence - this.acknowledgedUpTo;
    if (count <= 0) return 0;
    invariant(sequence <= this.lastSent, "only a sent frame is acknowledged");
    let bytes = 0;
    for (const frame of this.#frames.splice(0, count)) {
      bytes += frame.payload.byteLength;
      this.inFlightCost -= frameCost(frame.payload);
    }
    this.unacknowledgedBytes -= bytes;
    this.acknowledgedUpTo = sequence;
    return bytes;
  }

  /**
   * Queues again what was sent over a lost connection and is not among what the peer has.
   *
   * @param peer undefined when the peer has nothing of this stream
   * @returns number of frames queued
   */
  requeue(isLost: (carrierId: number) => boolean, peer: StreamState | undefined): number {
    let count = 0;
    let range = 0;
    for (let i = 0; i < this.lastSent - this.acknowledgedUpTo; i++) {
      const frame = this.#frames[i];
      if (frame.received) continue;
      const { sequence } = frame;
      if (peer !== undefined) {
        while (range < peer.ahead.length && peer.ahead[range][1] < sequence) range++;
        const isAhead = range < peer.ahead.length && peer.ahead[range][0] <= sequence;
        frame.received = sequence <= peer.receivedUpTo || isAhead;
      }
      if (frame.received || frame.carrierId === 0 || !isLost(frame.carrierId)) continue;
      frame.carrierId = 0;
      this.#again.push(frame);
      count++;
    }
    if (count > 0) this.#again.sort((a, b) => a.sequence - b.sequence);
    return count;
  }

  /** Drops everything; the channel is gone. */
  clear(): void {
    this.#frames = [];
    this.#again = [];
    this.inFlightCost = 0;
    this.unacknowledgedBytes = 0;
  }
}
