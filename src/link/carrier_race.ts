import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Carrier, CarrierKind } from "./carrier.ts";

/** The other kind is dialled when the first one has not answered for so long. */
export const HEAD_START_MS = 1_000;
/**
 * What the first one still gets from the moment on by which the other one has shown that the path
 * works: more than a round trip by satellite and one repeated packet.
 */
export const GRACE_MS = 2_000;
/** What one attempt has found out holds for the next ones if they follow as closely as this. */
const FORGOTTEN_MS = 5_000;

export type DialKind = (kind: CarrierKind, signal: AbortSignal) => Promise<Carrier>;

/** A carrier, and whether it is the one that was wanted. */
export interface RaceResult {
  readonly carrier: Carrier;
  readonly kind: CarrierKind;
}

/** Dials the wanted kind of carrier, and the other one where it gets no answer. */
export class CarrierRace {
  readonly #clock: Clock;
  readonly #dial: DialKind;
  /** Since when the other kind is known to pass while the wanted one gives no answer. */
  #otherPassesSinceMs: number | null = null;
  #attemptAtMs = -Infinity;

  constructor(clock: Clock, dial: DialKind) {
    this.#clock = clock;
    this.#dial = dial;
  }

  /**
   * One attempt. Several may run beside each other; what one of them has found out about the path
   * counts for all.
   *
   * @throws {GatewayError} what refused it; `peer_unreachable` when neither kind got an answer
   */
  async run(wanted: CarrierKind, signal: AbortSignal): Promise<RaceResult> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#attemptAtMs > FORGOTTEN_MS) this.#otherPassesSinceMs = null;
    this.#attemptAtMs = nowMs;
    const other = otherKind(wanted);
    const result = Promise.withResolvers<RaceResult>();
    const over = new AbortController();
    const wantedFailed = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    const soon = AbortSignal.any([both, wantedFailed.signal]);
    let isDecided = false;
    const decide = (carrier: Carrier, kind: CarrierKind) => {
      if (isDecided) return void carrier.close("another connection was ready first");
      isDecided = true;
      this.#otherPassesSinceMs = null;
      result.resolve({ carrier, kind });
    };
    const failures: unknown[] = [];
    const fail = (error: unknown, kind: CarrierKind) => {
      failures.push(error);
      // A site that takes one kind only refuses the other: the wanted one may be answered yet.
      const isOver = !isNoAnswer(error) &&
        (kind === wanted || codeOf(error) !== "handshake_failed");
      if (isOver) result.reject(error);
      else if (failures.length === 2) {
        result.reject(failures.find((each) => !isNoAnswer(each)) ?? error);
      }
    };

    this.#dial(wanted, both).then((carrier) => decide(carrier, wanted), (error) => {
      wantedFailed.abort();
      fail(error, wanted);
    });
    (async () => {
      await this.#pause(HEAD_START_MS, soon);
      both.throwIfAborted();
      const carrier = await this.#dial(other, both);
      this.#otherPassesSinceMs ??= this.#clock.nowMs();
      const graceMs = this.#otherPassesSinceMs + GRACE_MS - this.#clock.nowMs();
      const death = carrier.closed.then(({ reason }) => {
        throw new GatewayError("peer_unreachable", `Cannot use the connection: ${reason}`, {
          hint: "It is dialled again by itself",
        });
      });
      death.catch(() => {});
      await Promise.race([this.#pause(graceMs, soon), death]);
      if (both.aborted) return void carrier.close("another connection was ready first");
      decide(carrier, other);
    })().catch((error) => fail(error, other));
    const onAbort = () => result.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await result.promise;
    } catch (error) {
      isDecided = true;
      throw error;
    } finally {
      over.abort(new Error("another connection was ready first"));
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends at once, without an error, when `signal` aborts. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (ms > 0) await this.#clock.sleep(ms, signal).catch(() => {});
  }
}

export function otherKind(kind: CarrierKind): CarrierKind {
  return kind === "quic" ? "tls" : "quic";
}

/** Nobody was there, as opposed to somebody who refuses. */
function isNoAnswer(error: unknown): boolean {
  const code = codeOf(error);
  return code === null || code === "peer_unreachable";
}

function codeOf(error: unknown): string | null {
  return error instanceof GatewayError ? error.code : null;
}
