import type { DecisionLog, LedgerEvent, OwnershipRecord } from "./ports.ts";

/**
 * The durable side of one end of a migration: appends events to the ledger and keeps the state that
 * they fold to. `write` returns after the event is on disk, so what follows it is its effect.
 */
export class Journal<State, Event extends LedgerEvent> {
  #state: State;

  constructor(
    private readonly ledger: Pick<DecisionLog, "append">,
    readonly migrationId: string,
    initial: State,
    private readonly next: (state: State, event: Event) => State,
    private readonly changed: (state: State, event: Event) => void = () => {},
  ) {
    this.#state = initial;
  }

  get state(): State {
    return this.#state;
  }

  /**
   * @throws {GatewayError} `ledger_write_failed`: nothing was decided, the state is as before
   * @throws {InvariantError} when the state does not allow the event; nothing was written
   */
  write(event: Event, ownership?: Omit<OwnershipRecord, "decidedAt">): void {
    const state = this.next(this.#state, event);
    this.ledger.append(this.migrationId, event, ownership);
    this.#state = state;
    this.changed(state, event);
  }
}
