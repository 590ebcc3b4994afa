import {
  HEALTHY_SURPLUS_MS,
  PING_INTERVAL_MS,
  SILENCE_MS_MIN,
  SILENCE_ROUND_TRIPS,
  SILENT_SURPLUS_MS,
} from "./limits.ts";

/** A connection as the driver knows it. */
export interface NewCarrier {
  /** Above every earlier one. */
  readonly id: number;
  readonly peerIncarnation: string;
  /** This side closes superfluous connections; true on exactly one of both sides. */
  readonly keepsHouse: boolean;
  /** Goes before others where both sides dial; both sides say the same of one connection. */
  readonly preferred: boolean;
  /** What carries it; absent counts as a kind of its own. */
  readonly kind?: string;
}

/** What the session knows of one connection. */
export interface CarrierState {
  readonly id: number;
  readonly preferred: boolean;
  readonly kind: string | undefined;
  /** The peer's STATE came over it: frames may go. */
  ready: boolean;
  /** Nothing was heard for too long. */
  silent: boolean;
  lastHeardMs: number;
  /** A STATE record to send; null when none is due. */
  stateDue: { answerWanted: boolean } | null;
  pingDue: boolean;
  nextPingAtMs: number;
  /** Number of the last PING of the peer, unanswered. */
  pongDue: number | null;
  /** Since when a newer or better connection makes it superfluous; null while it is needed. */
  surplusSinceMs: number | null;
}

/** PINGs whose answers are still awaited; older ones no longer measure anything. */
const PINGS_REMEMBERED = 16;
const SMOOTHING = 1 / 8;

/** Watches connections: pings, silence, and which of several is the one to use. */
export class Liveness {
  readonly carriers = new Map<number, CarrierState>();
  /** Smoothed and least round trip of PINGs; null before the first answer. */
  roundTripMs: number | null = null;
  minRoundTripMs: number | null = null;
  lastHeardMs: number | null = null;

  #inUse: CarrierState | null = null;
  #nextPing = 1;
  #lastTickMs: number | null = null;
  readonly #pings = new Map<number, { readonly carrierId: number; readonly sentAtMs: number }>();

  get silenceMs(): number {
    return Math.max(SILENCE_MS_MIN, SILENCE_ROUND_TRIPS * (this.roundTripMs ?? 0));
  }

  add({ id, preferred, kind }: NewCarrier, nowMs: number): CarrierState {
    const carrier: CarrierState = {
      id,
      preferred,
      kind,
      ready: false,
      silent: false,
      lastHeardMs: nowMs,
      stateDue: { answerWanted: false },
      pingDue: false,
      nextPingAtMs: nowMs,
      pongDue: null,
      surplusSinceMs: null,
    };
    this.carriers.set(id, carrier);
    return carrier;
  }

  heard(carrier: CarrierState, nowMs: number): void {
    carrier.lastHeardMs = nowMs;
    carrier.silent = false;
    this.lastHeardMs = nowMs;
  }

  /**
   * The connection to use: one that is not silent before a silent one (which takes urgent records
   * only), one of the kind that was made last (whoever dials another kind beside a connection that
   * works wants to change), a preferred one before another, the one in use before others (it has
   * measured its path), the newest.
   */
  primary(): CarrierState | null {
    let newest: CarrierState | null = null;
    for (const carrier of this.carriers.values()) {
      if (carrier.ready && !carrier.silent) newest = carrier;
    }
    const rank = (carrier: CarrierState) =>
      (carrier.silent ? 0 : 8) + (carrier.kind === newest?.kind ? 4 : 0) +
      (carrier.preferred ? 2 : 0) + (carrier === this.#inUse ? 1 : 0);
    let best: CarrierState | null = null;
    for (const carrier of this.carriers.values()) {
      if (carrier.ready && (best === null || rank(carrier) >= rank(best))) best = carrier;
    }
    this.#inUse = best;
    return best;
  }

  takePing(carrier: CarrierState, nowMs: number): number {
    carrier.pingDue = false;
    const number = this.#nextPing++;
    this.#pings.set(number, { carrierId: carrier.id, sentAtMs: nowMs });
    if (this.#pings.size > PINGS_REMEMBERED) {
      this.#pings.delete(this.#pings.keys().next().value as number);
    }
    return number;
  }

  pong(number: number, carrier: CarrierState, nowMs: number): void {
    const ping = this.#pings.get(number);
    if (ping === undefined || ping.carrierId !== carrier.id) return;
    this.#pings.delete(number);
    const ms = nowMs - ping.sentAtMs;
    this.minRoundTripMs = Math.min(this.minRoundTripMs ?? ms, ms);
    this.roundTripMs = this.roundTripMs === null
      ? ms
      : this.roundTripMs + (ms - this.roundTripMs) * SMOOTHING;
  }

  /** @returns true when a connection fell silent just now */
  tick(nowMs: number): boolean {
    // Where this process itself was held up, silence says nothing about the link.
    const heldUpMs = nowMs - (this.#lastTickMs ?? nowMs) - 2 * PING_INTERVAL_MS;
    this.#lastTickMs = nowMs;
    let fellSilent = false;
    for (const carrier of this.carriers.values()) {
      if (heldUpMs > 0) carrier.lastHeardMs = Math.min(nowMs, carrier.lastHeardMs + heldUpMs);
      if (nowMs >= carrier.nextPingAtMs) {
        carrier.pingDue = true;
        carrier.nextPingAtMs = nowMs + PING_INTERVAL_MS;
      }
      // The same sum as in `wakeAtMs`: a rounding difference would wake for nothing, for ever.
      if (!carrier.silent && nowMs >= carrier.lastHeardMs + this.silenceMs) {
        carrier.silent = true;
        fellSilent = true;
      }
    }
    return fellSilent;
  }

  /**
   * Connections to close: silent ones that a working one has replaced, and, when this side keeps
   * house, working ones beside a better one.
   */
  surplus(nowMs: number, keepsHouse: boolean): CarrierState[] {
    const primary = this.primary();
    const surplus: CarrierState[] = [];
    for (const carrier of this.carriers.values()) {
      const starting = !carrier.ready && !carrier.silent;
      const needed = carrier === primary || primary === null || primary.silent || starting;
      carrier.surplusSinceMs = needed ? null : carrier.surplusSinceMs ?? nowMs;
      if (carrier.surplusSinceMs === null) continue;
      const ms = nowMs - carrier.surplusSinceMs;
      const replaced = carrier.silent && ms >= SILENT_SURPLUS_MS;
      if (replaced || (keepsHouse && ms >= HEALTHY_SURPLUS_MS)) surplus.push(carrier);
    }
    return surplus;
  }

  /** When `tick` has something to do next. */
  wakeAtMs(): number {
    let atMs = Infinity;
    for (const carrier of this.carriers.values()) {
      atMs = Math.min(atMs, carrier.nextPingAtMs);
      if (!carrier.silent) atMs = Math.min(atMs, carrier.lastHeardMs + this.silenceMs);
    }
    return atMs;
  }
}
