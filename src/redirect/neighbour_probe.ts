import type { Clock } from "../core/clock.ts";
import { sameForm } from "../guest/addresses.ts";
import { HostCommands } from "./host_commands.ts";
import { neighbourQuestion, parseNeighbourAnswer } from "./neighbour_frames.ts";
import { type NetHelper, startNetHelper } from "./net_helper.ts";

/** Unused for so long, the process that listens is ended: from before a move to its pause, mostly. */
const IDLE_MS = 60_000;

/** What the probe touches; tests replace it. */
export interface NeighbourEdges {
  readonly host: Pick<HostCommands, "deviceOf">;
  readonly startNet: (
    onFrame: (frame: Uint8Array) => void,
  ) => Promise<Pick<NetHelper, "sendFrame" | "listen" | "close" | "ended">>;
}

const EDGES: NeighbourEdges = {
  host: new HostCommands(),
  startNet: (onFrame) => startNetHelper(null, undefined, [], onFrame),
};

/** A device with the process that asks and listens there. */
interface Listener {
  readonly ask: (ip: string) => void;
  readonly close: () => Promise<void>;
  usedAtMs: number;
}

/**
 * Asks a network who has an address, by ARP or a neighbour solicitation, and takes an answer of anybody
 * but this host itself (which may answer for machines that are elsewhere). Beside the kernel's own
 * table: that may hold what the gateway has set there. The frames go by the network process, which has
 * the rights and the C library.
 */
export class NeighbourProbe {
  readonly #listeners = new Map<string, Promise<Listener | null>>();
  /** By device and address: who waits for an answer. */
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #closed = new AbortController();

  constructor(
    private readonly clock: Pick<Clock, "nowMs" | "sleep">,
    private readonly edges: NeighbourEdges = EDGES,
  ) {}

  /** Whether somebody on the device's network has answered in time. Never rejects. */
  async ask(ip: string, device: string, timeoutMs: number): Promise<boolean> {
    const listener = await this.#listener(device);
    if (listener === null) return false;
    listener.usedAtMs = this.clock.nowMs();
    const key = `${device} ${sameForm(ip)}`;
    const answered = Promise.withResolvers<boolean>();
    const done = new AbortController();
    const heard = () => answered.resolve(true);
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting.add(heard));
    const signal = AbortSignal.any([done.signal, this.#closed.signal]);
    const late = this.clock.sleep(timeoutMs, signal).then(() => false, () => false);
    listener.ask(ip);
    try {
      return await Promise.race([answered.promise, late]);
    } finally {
      done.abort();
      waiting.delete(heard);
    }
  }

  /** Ends what it has started. */
  async close(): Promise<void> {
    this.#closed.abort();
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) await (await listener)?.close();
  }

  #listener(device: string): Promise<Listener | null> {
    if (this.#closed.signal.aborted) return Promise.resolve(null);
    const known = this.#listeners.get(device);
    if (known) return known;
    const opening = this.#open(device).catch(() => null).then((listener) => {
      // Tried again by the next question.
      if (listener === null) this.#listeners.delete(device);
      return listener;
    });
    this.#listeners.set(device, opening);
    return opening;
  }

  async #open(device: string): Promise<Listener | null> {
    const found = await this.edges.host.deviceOf(device);
    if (found === null) return null;
    const { index, mac } = found;
    const net = await this.edges.startNet((frame) => {
      const answer = parseNeighbourAnswer(frame);
      if (answer === null || answer.mac === mac) return;
      for (const heard of this.#waiting.get(`${device} ${answer.ip}`) ?? []) heard();
    });
    net.listen(index);
    const listener: Listener = {
      ask: (ip) => net.sendFrame(index, neighbourQuestion(ip, mac)),
      close: () => net.close(),
      usedAtMs: this.clock.nowMs(),
    };
    void net.ended.then(() => this.#listeners.delete(device));
    void this.#endIdle(device, listener);
    return listener;
  }

  async #endIdle(device: string, listener: Listener): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const idleMs = this.clock.nowMs() - listener.usedAtMs;
      if (idleMs >= IDLE_MS) {
        this.#listeners.delete(device);
        return await listener.close();
      }
      await this.clock.sleep(IDLE_MS - idleMs, signal).catch(() => {});
    }
  }
}
