import { type GatewayError, toGatewayError } from "../../core/errors.ts";
import { withToken } from "../fencing.ts";
import type { ToSource } from "../messages.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { DestinationActorDeps } from "./deps.ts";

/** The machine that this site owns, on its way to run here (design, rule 3e). */
export class Starting {
  /** What keeps the machine from running, where only an operator can end this. */
  problem: string | undefined;
  /** A start that is under way: nothing may be decided over its head. */
  #current: Promise<void> = Promise.resolve();

  /** @param say tells the source */
  constructor(
    private readonly deps: DestinationActorDeps,
    private readonly say: (message: ToSource) => Promise<void>,
  ) {}

  /** Resolves when no start is under way. */
  get settled(): Promise<void> {
    return this.#current;
  }

  /**
   * The owner record stands: the machine runs here, however often that takes.
   *
   * @param run false: it was paused at the source and stays so
   */
  async run(run: boolean, loadMs: number | null): Promise<void> {
    const { journal, epoch, clock, log, id, changed } = this.deps;
    try {
      if (run) {
        await persistently(clock, () => this.#start(), (error) => {
          if (error.code === "guest_gone" || error.code === "epoch_fenced") throw error;
          log("error", `${id}: cannot start the machine yet: ${error.message}`);
        });
      }
    } catch (error) {
      return await this.#failed(toGatewayError(error));
    }
    if (journal.state.kind !== "owning") return;
    // Told at once: the owner record decides, the note that it has started may wait for the ledger.
    await this.say({ type: "running", epoch, loadMs }).catch(() => {});
    await persistently(clock, () => {
      if (journal.state.kind === "owning") journal.write({ kind: "started" });
    }, onlyLedger((error) => log("error", `${id}: ${error.message}`)));
    changed();
  }

  async #start(): Promise<void> {
    const { guest, journal, epoch } = this.deps;
    // An operator's verdict that came meanwhile ends it.
    if (journal.state.kind !== "owning") return;
    const starting = withToken(this.deps, epoch, () => guest.destination.start());
    this.#current = starting.catch(() => {});
    await starting;
  }

  /**
   * The machine is gone although this site owns it. Whether it had begun to run nobody can tell, and
   * the source holds what may be the last good copy: only an operator can end this.
   */
  async #failed(error: GatewayError): Promise<void> {
    const { epoch, log, id, site, changed } = this.deps;
    const how = error.code === "epoch_fenced" ? "it must not start" : "it ended as it was started";
    this.problem = `${site} owns the machine, but ${how}: ${error.message}. ` +
      "Adjudicate with force: to the source to run its copy";
    log("error", `${id}: ${this.problem}`);
    await this.say({ type: "pending", epoch, problem: this.problem }).catch(() => {});
    changed();
  }
}
