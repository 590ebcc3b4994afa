import type { Clock } from "../core/clock.ts";
import { type GatewayError, toGatewayError } from "../core/errors.ts";
import type { Carrier } from "./carrier.ts";

/** A new connection is tried this often while none works. */
export const REDIAL_MS = 1_000;
/** Attempts under way at once; a slow link needs several round trips for one. */
export const DIALS_PENDING_MAX = 4;
/** After refusals the pause doubles from `REDIAL_MS` up to this. */
export const REFUSED_REDIAL_MS_MAX = 60_000;
/**
 * The same where a person ends the refusal at any moment, with `trust` at either side: a move that
 * waits 15 s for its link must see that it did.
 */
export const UNTRUSTED_REDIAL_MS_MAX = 5_000;

/** Refusals further apart than this do not add up. */
const REFUSALS_FORGOTTEN_MS = 2 * REFUSED_REDIAL_MS_MAX;

/** Codes of attempts that found nobody; anything else is a refusal, or a defect to be told. */
const NOBODY_THERE: ReadonlySet<string> = new Set(["link_closed", "peer_unreachable"]);

/** Refusals that a change of a configuration or its certificates ends. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "certificate_invalid",
  "config_invalid",
  "peer_not_trusted",
  "peer_unknown",
]);

export interface RedialerOptions {
  readonly clock: Clock;
  readonly dial: (signal: AbortSignal) => Promise<Carrier>;
  /** True while no connection works. */
  readonly isNeeded: () => boolean;
  readonly onCarrier: (carrier: Carrier) => void;
  readonly onRefused: (error: GatewayError) => void;
}

/** Dials every second while no connection works, several attempts beside each other. */
export class Redialer {
  readonly #options: RedialerOptions;
  readonly #stopped = new AbortController();
  readonly #pending = new Set<AbortController>();
  #refusals = 0;
  #refusedAtMs = -Infinity;
  #nextAtMs = 0;
  #attemptAtMs = -Infinity;
  #wake: AbortController | null = null;

  constructor(options: RedialerOptions) {
    this.#options = options;
    void this.#run();
  }

  /** Something changed: looks at once whether a connection is needed. */
  kick(): void {
    this.#wake?.abort();
  }

  /**
   * Somebody asks for the link, or what refused it may have changed: dials as if nothing had been
   * refused yet, at most once in `REDIAL_MS` however often this is called.
   */
  retry(): void {
    this.#refusals = 0;
    this.#nextAtMs = Math.min(this.#nextAtMs, this.#attemptAtMs + REDIAL_MS);
    this.kick();
  }

  /** A connection was made and then refused: the next attempts come later and later. */
  refused(error: GatewayError): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#refusedAtMs > REFUSALS_FORGOTTEN_MS) this.#refusals = 0;
    this.#refusedAtMs = nowMs;
    const pauseMsMax = UNTRUSTED.has(error.code) ? UNTRUSTED_REDIAL_MS_MAX : REFUSED_REDIAL_MS_MAX;
    const pauseMs = Math.min(pauseMsMax, REDIAL_MS * 2 ** this.#refusals);
    this.#refusals++;
    this.#nextAtMs = nowMs + pauseMs;
    this.#options.onRefused(error);
  }

  stop(): void {
    this.#stopped.abort();
    this.#abortAll();
    this.kick();
  }

  async #run(): Promise<void> {
    const { clock, isNeeded } = this.#options;
    while (!this.#stopped.signal.aborted) {
      const waitMs = this.#nextAtMs - clock.nowMs();
      // What comes too late would only take the place of a connection that knows its path.
      if (!isNeeded()) this.#abortAll();
      else if (waitMs <= 0) {
        this.#attemptAtMs = clock.nowMs();
        this.#nextAtMs = this.#attemptAtMs + REDIAL_MS;
        void this.#attempt();
        continue;
      }
      this.#wake = new AbortController();
      // Only a kick can make a connection needed; until then there is nothing to look at.
      const sleepMs = isNeeded() ? waitMs : 3_600_000;
      await clock.sleep(sleepMs, this.#wake.signal).catch(() => {});
    }
  }

  #abortAll(): void {
    for (const attempt of this.#pending) attempt.abort();
  }

  async #attempt(): Promise<void> {
    const attempt = new AbortController();
    this.#pending.add(attempt);
    if (this.#pending.size > DIALS_PENDING_MAX) this.#pending.values().next().value!.abort();
    try {
      const carrier = await this.#options.dial(attempt.signal);
      if (this.#stopped.signal.aborted) return void carrier.close("the link was closed");
      this.#options.onCarrier(carrier);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (!NOBODY_THERE.has(error.code) && !attempt.signal.aborted) this.refused(error);
    } finally {
      this.#pending.delete(attempt);
    }
  }
}
