import type { LinkModel } from "../emulator/link_model.ts";

/** Payload and IP bytes of a full packet, and IP bytes of an acknowledgement. */
const PAYLOAD_BYTES = 1_448;
const PACKET_BYTES = 1_500;
const ACK_BYTES = 52;
/** CUBIC's constants (RFC 9438, section 4.1), and the first window (RFC 6928). */
const CUBIC_C = 0.4;
const CUBIC_BETA = 0.7;
const FIRST_WINDOW_PACKETS = 10;
/** A packet is lost when one sent so many later is acknowledged. */
const REORDERING = 3;
const TIMEOUT_MS_MIN = 200;
/** Slow start ends when delay grows by an eighth of the path's, within these (RFC 9406). */
const DELAY_RATIO = 1 / 8;
const DELAY_MS_MIN = 4;
const DELAY_MS_MAX = 16;

/** What a flow happens in. */
export interface FlowWorld {
  readonly forward: LinkModel;
  readonly backward: LinkModel;
  at(ms: number, happen: (nowMs: number) => void): void;
}

/**
 * A TCP connection that always has data, after CUBIC (RFC 9438) with slow start that ends by delay
 * (HyStart++, RFC 9406): what shares a path with us in a simulation. Every packet is acknowledged by
 * itself, and what was lost counts for nothing: no more of TCP is needed to fill a queue as it does.
 */
export class TcpFlow {
  /** Payload that has arrived. */
  deliveredBytes = 0;

  readonly #world: FlowWorld;
  readonly #sentAtMs = new Map<number, number>();
  #next = 0;
  #window = FIRST_WINDOW_PACKETS;
  #threshold = Infinity;
  #leastMs = Infinity;
  #smoothMs = 100;
  /** Up to this number a loss belongs to the one that was answered. */
  #recoverUpTo = -1;
  #mostWindow = 0;
  #epochMs = 0;
  #originMs = 0;
  #estimate = 0;
  #progressMs = 0;

  constructor(world: FlowWorld, startMs: number) {
    this.#world = world;
    world.at(startMs, (nowMs) => {
      this.#progressMs = nowMs;
      this.#send(nowMs);
      this.#watch(nowMs);
    });
  }

  get windowPackets(): number {
    return this.#window;
  }

  #send(nowMs: number): void {
    const { forward, backward, at } = this.#world;
    while (this.#sentAtMs.size < Math.floor(this.#window)) {
      const number = this.#next++;
      this.#sentAtMs.set(number, nowMs);
      if (forward.offer(PACKET_BYTES, nowMs) !== "delivered") continue;
      at(forward.arrivalMs, (arrivedMs) => {
        this.deliveredBytes += PAYLOAD_BYTES;
        if (backward.offer(ACK_BYTES, arrivedMs) !== "delivered") return;
        at(backward.arrivalMs, (ms) => this.#acknowledged(number, ms));
      });
    }
  }

  #acknowledged(number: number, nowMs: number): void {
    const sentAtMs = this.#sentAtMs.get(number);
    if (sentAtMs === undefined) return;
    this.#sentAtMs.delete(number);
    this.#progressMs = nowMs;
    const roundTripMs = nowMs - sentAtMs;
    this.#leastMs = Math.min(this.#leastMs, roundTripMs);
    this.#smoothMs += (roundTripMs - this.#smoothMs) / 8;
    let lost = -1;
    for (const older of this.#sentAtMs.keys()) {
      if (older > number - REORDERING) break;
      this.#sentAtMs.delete(older);
      lost = older;
    }
    if (lost > this.#recoverUpTo) this.#back(nowMs);
    else this.#grow(roundTripMs, nowMs);
    this.#send(nowMs);
  }

  #back(nowMs: number): void {
    this.#recoverUpTo = this.#next - 1;
    // Fast convergence: who had to go back before it got to where it was leaves room.
    this.#mostWindow = this.#window < this.#mostWindow
      ? this.#window * (1 + CUBIC_BETA) / 2
      : this.#window;
    this.#window = Math.max(2, this.#window * CUBIC_BETA);
    this.#threshold = this.#window;
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#epochMs = nowMs;
    this.#estimate = this.#window;
    this.#originMs = 1000 *
      Math.cbrt(Math.max(0, this.#mostWindow - this.#window) / CUBIC_C);
  }

  #grow(roundTripMs: number, nowMs: number): void {
    if (this.#window < this.#threshold) {
      this.#window++;
      const slackMs = Math.min(DELAY_MS_MAX, Math.max(DELAY_MS_MIN, DELAY_RATIO * this.#leastMs));
      if (this.#window > 16 && roundTripMs > this.#leastMs + slackMs) {
        this.#threshold = this.#window;
        this.#mostWindow = this.#window;
        this.#begin(nowMs);
      }
      return;
    }
    const seconds = (nowMs - this.#epochMs + this.#leastMs - this.#originMs) / 1000;
    const target = CUBIC_C * seconds ** 3 + this.#mostWindow;
    // What Reno would have by now (section 4.3).
    this.#estimate += 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) / this.#window;
    const wanted = Math.max(this.#estimate, Math.min(1.5 * this.#window, target));
    this.#window += Math.max(0, wanted - this.#window) / this.#window;
  }

  /** Nothing came back for too long: everything is lost, and it begins anew. */
  #watch(nowMs: number): void {
    const timeoutMs = Math.max(TIMEOUT_MS_MIN, 2 * this.#smoothMs);
    if (this.#sentAtMs.size > 0 && nowMs - this.#progressMs > timeoutMs) {
      this.#sentAtMs.clear();
      this.#threshold = Math.max(2, this.#window / 2);
      this.#window = 1;
      this.#progressMs = nowMs;
      this.#send(nowMs);
    }
    this.#world.at(nowMs + TIMEOUT_MS_MIN / 4, (ms) => this.#watch(ms));
  }
}
