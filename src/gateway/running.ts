import { GatewayError } from "../core/errors.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import type { DestinationActor } from "../migration/destination/actor.ts";
import type { SourceActor } from "../migration/source/actor.ts";
import type { ArrivingReport } from "./arriving_report.ts";
import { type Arrived, isOnlyOffered } from "./offers.ts";

/** A move that leaves this site, with the actor that serves it. */
export interface Departure {
  readonly side: "source";
  readonly stored: StoredMigration;
  readonly actor: SourceActor;
}

/** A move that comes to this site. */
export interface Arrival {
  readonly side: "destination";
  readonly stored: StoredMigration;
  readonly actor: DestinationActor;
  readonly report: ArrivingReport;
  /** The source said so; until then no move of this id exists there, and none is listed here. */
  begun: boolean;
}

export type Running = Departure | Arrival;

/**
 * The migrations that an actor of this process serves, by id, and the guests that are spoken for.
 * What it does not hold has ended, or was never here: the ledger knows.
 */
export class RunningMigrations {
  readonly #byId = new Map<string, Running>();
  /** Guests whose offer is being checked: two moves of one machine must not both get through. */
  readonly #claimed = new Set<string>();

  /** Who waits for a change of any of them. */
  readonly #watchers = new Set<() => void>();

  constructor(private readonly ledger: Ledger) {}

  get(id: string): Running | null {
    return this.#byId.get(id) ?? null;
  }

  arrival(id: string): Arrival | null {
    const running = this.#byId.get(id);
    return running?.side === "destination" ? running : null;
  }

  all(): Running[] {
    return [...this.#byId.values()];
  }

  add(running: Running): void {
    this.#byId.set(running.stored.id, running);
  }

  delete(id: string): void {
    this.#byId.delete(id);
    this.changed();
  }

  /** The state of one of them is another than before. */
  changed(): void {
    for (const look of this.#watchers) look();
  }

  /**
   * Resolves once no earlier move of this guest arrives from `peer` any more, or at `limit`. A source
   * offers a machine anew as soon as its last try has ended there, and the word of that end travels
   * on another channel than the offer.
   */
  async whenEarlierEnded(guestId: string, peer: string, limit: AbortSignal): Promise<void> {
    const isOpen = () => {
      const running = this.#byId.get(this.movingGuest(guestId) ?? "");
      return running?.side === "destination" && running.stored.peer === peer;
    };
    if (!isOpen() || limit.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => isOpen() || resolve();
    const late = () => resolve();
    this.#watchers.add(look);
    limit.addEventListener("abort", late);
    try {
      await promise;
    } finally {
      this.#watchers.delete(look);
      limit.removeEventListener("abort", late);
    }
  }

  /** The migration that a guest is part of, if it has not ended. */
  movingGuest(guestId: string): string | null {
    for (const [id, { side, stored, actor }] of this.#byId) {
      if (stored.guestId !== guestId || actor.ended) continue;
      // What was stopped in a conflict waits for its operator, who must be able to remove it.
      if (side === "destination" && actor.state.kind === "conflict") continue;
      return id;
    }
    return null;
  }

  /** Nobody else moves this guest until `release`. @throws {GatewayError} `guest_moving` */
  claim(guestId: string): void {
    const moving = this.movingGuest(guestId);
    if (moving !== null || this.#claimed.has(guestId)) {
      throw new GatewayError("guest_moving", `Cannot move ${guestId}: it is moving already`, {
        hint: moving === null ? "Wait for the other request" : `See GET /v1/migrations/${moving}`,
      });
    }
    this.#claimed.add(guestId);
  }

  release(guestId: string): void {
    this.#claimed.delete(guestId);
  }

  /** True for what was offered here and is no move, so that no list shows it. */
  isOffer(running: Running): boolean {
    return running.side === "destination" && isOnlyOffered(arrived(running), this.ledger);
  }
}

/** An arrival in the form that offers are judged by. */
export function arrived({ stored, actor, begun }: Arrival): Arrived {
  return { stored, state: actor.state, begun };
}
