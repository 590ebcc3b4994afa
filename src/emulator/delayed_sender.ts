import type { Clock } from "../core/clock.ts";
import { DueQueue } from "./due_queue.ts";

/** A datagram on its way, with the socket that sends it on. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly socket: Pick<Deno.DatagramConn, "send">;
  readonly to: Deno.NetAddr;
}

/**
 * Timers have a grain of 1 ms and fire up to 1.3 ms late (measured), so what is due within half a
 * grain leaves at once: the mean error stays well under a millisecond in both directions.
 */
const EARLY_MS = 0.5;

/** Later than this, a packet counts as late: the machine was too slow for the link. */
export const LATE_MS = 5;

/** An empty queue still looks up now and then; a timer of Infinity would fire at once. */
const SLEEP_MS_MAX = 60_000;

/** How well the sender kept the times it was given. */
export interface Punctuality {
  sentPackets: number;
  /** Packets that left more than `LATE_MS` after their time. */
  latePackets: number;
  lateMsMax: number;
  /** Sends that the socket refused; the packet is lost. */
  failedSends: number;
}

/** Sends datagrams at their times, in order, with one timer to the next one. */
export class DelayedSender {
  readonly punctuality: Punctuality = {
    sentPackets: 0,
    latePackets: 0,
    lateMsMax: 0,
    failedSends: 0,
  };
  readonly #queue = new DueQueue<Datagram>();
  #draining: Promise<void> | null = null;
  #sleep: { untilMs: number; abort: AbortController } | null = null;
  #closed = false;
  readonly #running: Promise<void>;

  constructor(readonly clock: Clock) {
    this.#running = this.#run();
  }

  /** Datagrams that still wait. */
  get length(): number {
    return this.#queue.length;
  }

  schedule(dueMs: number, datagram: Datagram): void {
    this.#queue.push(dueMs, datagram);
    if (this.#sleep !== null && dueMs < this.#sleep.untilMs) this.#sleep.abort.abort();
  }

  /** Sends what is due; receivers call it, so that a busy relay does not wait for its timer. */
  poke(): void {
    if (this.#draining === null && this.#isDue()) void this.#drain();
  }

  /** Forgets what waits. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#sleep?.abort.abort();
    await this.#running;
    await this.#draining;
  }

  #isDue(): boolean {
    return this.#queue.nextDueMs <= this.clock.nowMs() + EARLY_MS;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      await this.#drain();
      const untilMs = this.#queue.nextDueMs;
      const waitMs = untilMs - this.clock.nowMs();
      if (waitMs <= EARLY_MS) continue;
      // Closed while sending: nobody would end this sleep.
      if (this.#closed) return;
      const abort = new AbortController();
      this.#sleep = { untilMs, abort };
      // Rounded down: the timer's own lateness makes up for it.
      const sleepMs = Math.min(Math.floor(waitMs), SLEEP_MS_MAX);
      await this.clock.sleep(sleepMs, abort.signal).catch(() => {});
      this.#sleep = null;
    }
  }

  #drain(): Promise<void> {
    return this.#draining ??= this.#sendDue().finally(() => this.#draining = null);
  }

  async #sendDue(): Promise<void> {
    const { punctuality } = this;
    while (!this.#closed) {
      const lateMs = this.clock.nowMs() - this.#queue.nextDueMs;
      if (lateMs < -EARLY_MS) return;
      if (lateMs > punctuality.lateMsMax) punctuality.lateMsMax = lateMs;
      if (lateMs > LATE_MS) punctuality.latePackets++;
      const { bytes, socket, to } = this.#queue.pop();
      try {
        // Awaited one by one: sends in parallel overtake each other under load.
        await socket.send(bytes, to);
        punctuality.sentPackets++;
      } catch {
        // A closed flow, or an ICMP error for an earlier packet: a network loses it too.
        punctuality.failedSends++;
      }
    }
  }
}
