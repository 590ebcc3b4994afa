import type { Carrier } from "../link/carrier.ts";
import { type MemoryCarrierPair, memoryCarrierPair } from "../link/memory_carrier.ts";
import type { LinkEvent } from "../link/peer_link.ts";
import { createSessionLink, type SessionLink } from "../link/session_link.ts";
import type { SessionLimits } from "../wire/limits.ts";
import { VirtualClock } from "./virtual_clock.ts";

export interface LinkWorldOptions {
  readonly bytesPerSecond?: number | null;
  readonly delayMs?: number;
  readonly jitterMs?: number;
  readonly duplicateRatio?: number;
  readonly random?: () => number;
  readonly limits?: Partial<SessionLimits>;
  /** The destination dials, too. */
  readonly bothDial?: boolean;
}

/** Two session links over in-memory connections on a virtual clock; the source dials. */
export class LinkWorld {
  readonly clock = new VirtualClock();
  readonly source: SessionLink;
  destination: SessionLink;
  /** Every connection that was made, oldest first. */
  readonly pairs: MemoryCarrierPair[] = [];
  readonly sourceEvents: LinkEvent[] = [];
  readonly destinationEvents: LinkEvent[] = [];
  readonly dialedAtMs: number[] = [];
  /** Set to make the next dials fail. */
  dialError: Error | null = null;
  /** True: dials hang until they are given up, as in an outage. */
  dialsHang = false;
  readonly #options: LinkWorldOptions;
  #destinationIncarnation = 1;

  constructor(options: LinkWorldOptions = {}) {
    this.#options = options;
    this.destination = this.#startDestination();
    this.source = createSessionLink({
      peerName: "destination",
      clock: this.clock,
      dial: (signal) => this.#dial(signal),
      incarnation: "s1",
      limits: options.limits,
    });
    this.source.onEvent((event) => this.sourceEvents.push(event));
  }

  /** The newest connection. */
  get pair(): MemoryCarrierPair {
    return this.pairs.at(-1)!;
  }

  /** Takes whatever migration comes; `handle` gets each frame of the given kinds. */
  accept(
    kinds: readonly ("control" | "memory" | "disk")[],
    handle: (id: string, kind: string, payload: Uint8Array) => Promise<void> | void,
  ): void {
    const { destination } = this;
    destination.onNewMigration((id) => {
      for (const kind of kinds) {
        destination.channel(id, kind).receive(async ({ payload }) => {
          await handle(id, kind, payload);
        });
      }
    });
  }

  /** The destination's process ends and another one starts. */
  async restartDestination(): Promise<void> {
    const old = this.destination;
    this.#destinationIncarnation++;
    this.destination = this.#startDestination();
    await old.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.source.close(), this.destination.close()]);
    // Sleepers of records under way.
    await this.clock.advance(10_000);
  }

  #startDestination(): SessionLink {
    const destination = createSessionLink({
      peerName: "source",
      clock: this.clock,
      dial: this.#options.bothDial ? (signal) => this.#dial(signal, true) : null,
      incarnation: `d${this.#destinationIncarnation}`,
      limits: this.#options.limits,
    });
    destination.onEvent((event) => this.destinationEvents.push(event));
    return destination;
  }

  async #dial(signal: AbortSignal, byDestination = false): Promise<Carrier> {
    const { delayMs = 10, jitterMs = 0, bytesPerSecond = null, random = () => 0.5 } = this.#options;
    this.dialedAtMs.push(this.clock.nowMs());
    if (this.dialsHang) await this.clock.sleep(3_600_000, signal);
    await this.clock.sleep(2 * delayMs, signal);
    if (this.dialError !== null) throw this.dialError;
    const { duplicateRatio } = this.#options;
    const pair = memoryCarrierPair(
      { clock: this.clock, random, delayMs, jitterMs, bytesPerSecond, duplicateRatio },
      { peerName: "destination", peerIncarnation: `d${this.#destinationIncarnation}` },
      { peerName: "source", peerIncarnation: "s1" },
    );
    this.pairs.push(pair);
    // As in a real handshake, the dialler is through first.
    const [own, accepted, acceptor] = byDestination
      ? [pair.b, pair.a, this.source]
      : [pair.a, pair.b, this.destination];
    void this.clock.sleep(delayMs).then(() => acceptor.attach(accepted));
    return own;
  }
}
