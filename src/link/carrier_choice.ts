import type { Clock } from "../core/clock.ts";
import type { Carrier, CarrierKind } from "./carrier.ts";
import { CarrierJudge, type Verdict } from "./carrier_judge.ts";
import { CarrierRace, type DialKind } from "./carrier_race.ts";
import type { SessionLink } from "./session_link.ts";

/** Which carriers a site uses; "auto" is QUIC where it passes and nothing measures better. */
export type CarrierMode = "auto" | CarrierKind;

/** How often a link is looked at. */
const LOOK_MS = 1_000;
/** Time for a connection that is made beside one that works. */
const BESIDE_MS_MAX = 8_000;
/** A connection that was made beside another one is in use after this time, or does not work. */
const TAKEN_OVER_MS_MAX = 3_000;
/** UDP that stops passing within this time after it was chosen again has not really passed. */
const PROVEN_MS = 60_000;
/** Then the pause before it is tried once more doubles, up to this. */
const UDP_RETRY_MS_MAX = 30 * 60_000;

export interface CarrierChoiceOptions {
  readonly peerName: string;
  readonly clock: Clock;
  readonly mode: CarrierMode;
  /** How often UDP is tried again while it does not pass. */
  readonly udpRetryMs: number;
  /** See `CarrierJudge`. */
  readonly shortRoundTripMs?: number;
  readonly dial: DialKind;
  /** CPU time of this process so far, ms; null where it cannot be told. */
  readonly cpuMs: (() => number) | null;
  /** Congestion control that TCP connections are expected to get; null where nobody knows. */
  readonly expectedControl: string | null;
  /** Told whenever the carrier in use changes. */
  readonly onChange: (change: CarrierInUse) => void;
}

/** What carries a link at this moment, for people. */
export interface CarrierInUse {
  readonly kind: Carrier["kind"];
  /** Why it is this one. */
  readonly reason: string;
  /** Wall clock, ms. */
  readonly sinceMs: number;
  /** TCP's, where the system paces it and it can be told; else null. */
  readonly congestionControl: string | null;
}

/**
 * Chooses what carries the link to one peer: dials for it, tries UDP again while it does not pass,
 * and compares the carriers where one of them may be better. Frames go on over whichever is
 * attached; nothing of a move starts anew.
 *
 * The side that dialled a connection decides about it. The other side follows, because the newest
 * kind is used by both.
 */
export class CarrierChoice {
  readonly #options: CarrierChoiceOptions;
  readonly #race: CarrierRace;
  readonly #judge: CarrierJudge;
  /** Why a connection that was dialled here was made. */
  readonly #reasons = new WeakMap<Carrier, string>();
  readonly #closed = new AbortController();
  #wanted: CarrierKind;
  #wantedSinceMs = -Infinity;
  /** True while TCP is used because UDP gave no answer. */
  #udpIsBlocked = false;
  #udpRetryMs: number;
  #nextUdpTryMs = 0;
  /** When UDP was chosen again after it had not passed. */
  #udpAgainMs = -Infinity;
  #isDiallingBeside = false;
  #link: SessionLink | null = null;
  #inUse: CarrierInUse | null = null;
  #inUseCarrier: Carrier | null = null;
  #lastCpu: { readonly atMs: number; readonly cpuMs: number } | null = null;
  /** Of the last connections over TCP; before them what they are expected to get. */
  #congestionControl: string | null;

  constructor(options: CarrierChoiceOptions) {
    this.#options = options;
    this.#race = new CarrierRace(options.clock, options.dial);
    this.#wanted = options.mode === "auto" ? "quic" : options.mode;
    this.#judge = new CarrierJudge(options.shortRoundTripMs);
    this.#udpRetryMs = options.udpRetryMs;
    this.#congestionControl = options.expectedControl;
  }

  /** Makes a connection where there is none. @throws {GatewayError} as the endpoint's `dial` */
  async dial(signal: AbortSignal): Promise<Carrier> {
    const { clock, dial, mode } = this.#options;
    if (mode !== "auto") {
      const carrier = await dial(mode, signal);
      this.#reasons.set(carrier, "the configuration says so");
      return carrier;
    }
    const wanted = this.#wanted;
    const { carrier, kind } = await this.#race.run(wanted, signal);
    if (kind === wanted) {
      const reason = kind === "quic" ? "UDP passes" : this.#reasonForTls();
      this.#reasons.set(carrier, reason);
      return carrier;
    }
    this.#wanted = kind;
    if (kind === "tls") {
      this.#udpBlocked(clock.nowMs());
      this.#reasons.set(carrier, this.#reasonForTls());
    } else {
      this.#udpIsBlocked = false;
      this.#reasons.set(carrier, "TCP gave no answer where UDP did");
    }
    return carrier;
  }

  /** Follows the link that this is the choice for. */
  watch(link: SessionLink): void {
    this.#link = link;
    link.onEvent(() => this.look());
    if (this.#options.mode === "auto") void this.#run();
  }

  /** What carries the link now; null while nothing does. */
  get inUse(): CarrierInUse | null {
    this.#note();
    return this.#inUse;
  }

  close(): void {
    this.#closed.abort();
  }

  /** Acts upon what the link does at this moment; called by time and by the link's events. */
  look(): void {
    this.#note();
    if (this.#options.mode !== "auto" || this.#closed.signal.aborted) return;
    const link = this.#link!;
    const now = link.inUse();
    const kind = now?.carrier.kind;
    if (now === null || (kind !== "quic" && kind !== "tls")) return;
    const nowMs = this.#options.clock.nowMs();
    if (kind !== "tls" || !now.dialled || this.#isDiallingBeside) return;
    if (this.#wanted === "quic" && nowMs - this.#wantedSinceMs > TAKEN_OVER_MS_MAX) {
      // What was to take this one's place is silent or gone: its handshake passed and no more.
      this.#wanted = "tls";
      this.#udpBlocked(nowMs);
      this.#explain(now.carrier, "UDP stopped passing");
    } else if (this.#udpIsBlocked && nowMs >= this.#nextUdpTryMs) {
      this.#nextUdpTryMs = nowMs + this.#udpRetryMs;
      void this.#dialBeside("quic", "UDP passes again");
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#closed.signal.aborted) {
      this.look();
      this.#compare();
      await clock.sleep(LOOK_MS, this.#closed.signal).catch(() => {});
    }
  }

  /** Lets the judge see one more second. */
  #compare(): void {
    const { clock, mode } = this.#options;
    const link = this.#link!;
    const cpuShare = this.#cpuShare();
    const carrier = link.inUse()?.carrier;
    // Found out by a command: it may be known a little later than the connection.
    if (carrier?.kind === "tls") this.#congestionControl = carrier.congestionControl ?? null;
    const kind = carrier?.kind;
    if (mode !== "auto" || (kind !== "quic" && kind !== "tls") || this.#isDiallingBeside) return;
    const { goodputBytesPerSecond, lossRatio, minRoundTripMs } = link.path();
    // By the carrier's own count: whole frames are too coarse on a slow path.
    const carriedBytesPerSecond = carrier!.path().goodputBytesPerSecond;
    const verdict = this.#judge.observe({
      nowMs: clock.nowMs(),
      kind,
      isBusy: link.isBusy,
      goodputBytesPerSecond: carriedBytesPerSecond ?? goodputBytesPerSecond,
      cpuShare,
      lossRatio,
      minRoundTripMs,
      congestionControl: this.#congestionControl,
      canTry: !this.#udpIsBlocked,
    });
    if (verdict !== null) this.#follow(verdict, kind);
  }

  #follow(verdict: Verdict, kind: CarrierKind): void {
    if (verdict.kind !== kind) {
      void this.#dialBeside(verdict.kind, verdict.reason);
    } else {
      this.#wanted = kind;
      this.#explain(this.#link!.inUse()!.carrier, verdict.reason);
    }
  }

  /** Another reason for the connection in use. */
  #explain(carrier: Carrier, reason: string): void {
    this.#reasons.set(carrier, reason);
    this.#inUseCarrier = null;
    this.#note();
  }

  /** A connection beside the one that works; both sides then use the newer kind. */
  async #dialBeside(kind: CarrierKind, reason: string): Promise<void> {
    if (this.#isDiallingBeside) return;
    this.#isDiallingBeside = true;
    const { clock, dial } = this.#options;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#closed.signal, over.signal]);
    const timeout = clock.sleep(BESIDE_MS_MAX, signal)
      .then(() => over.abort(new Error(`no answer within ${BESIDE_MS_MAX} ms`)), () => {});
    try {
      const carrier = await dial(kind, signal);
      this.#reasons.set(carrier, reason);
      this.#wanted = kind;
      this.#wantedSinceMs = clock.nowMs();
      if (kind === "quic" && this.#udpIsBlocked) this.#udpAgainMs = this.#wantedSinceMs;
      this.#udpIsBlocked = false;
      this.#link!.attach(carrier, true);
    } catch {
      // What works goes on working; the next try comes by itself.
      if (!this.#udpIsBlocked) this.#judge.cancel(clock.nowMs());
    } finally {
      over.abort();
      await timeout;
      this.#isDiallingBeside = false;
      this.#note();
    }
  }

  /** UDP gave no answer where TCP did. */
  #udpBlocked(nowMs: number): void {
    const { udpRetryMs } = this.#options;
    // It was back and did not last: handshakes pass and what follows does not.
    this.#udpRetryMs = nowMs - this.#udpAgainMs < PROVEN_MS
      ? Math.min(Math.max(udpRetryMs, UDP_RETRY_MS_MAX), 2 * this.#udpRetryMs)
      : udpRetryMs;
    this.#udpIsBlocked = true;
    this.#nextUdpTryMs = nowMs + this.#udpRetryMs;
  }

  #reasonForTls(): string {
    return this.#udpIsBlocked
      ? "UDP gave no answer where TCP did"
      : "it was better than QUIC before";
  }

  /** Notices when another connection carries the link. */
  #note(): void {
    const now = this.#link?.inUse() ?? null;
    if (now === null) {
      this.#inUse = null;
      this.#inUseCarrier = null;
      return;
    }
    const { carrier } = now;
    if (carrier === this.#inUseCarrier) return;
    if (carrier.kind === "quic") {
      this.#wanted = "quic";
      this.#udpIsBlocked = false;
    }
    this.#inUseCarrier = carrier;
    this.#inUse = {
      kind: carrier.kind,
      reason: this.#reasons.get(carrier) ?? "the peer dialled it",
      sinceMs: this.#options.clock.wallMs(),
      get congestionControl() {
        return carrier.congestionControl ?? null;
      },
    };
    this.#options.onChange(this.#inUse);
  }

  #cpuShare(): number | null {
    const { clock, cpuMs } = this.#options;
    if (cpuMs === null) return null;
    const last = this.#lastCpu;
    const atMs = clock.nowMs();
    this.#lastCpu = { atMs, cpuMs: cpuMs() };
    return last === null || atMs <= last.atMs
      ? null
      : (this.#lastCpu.cpuMs - last.cpuMs) / (atMs - last.atMs);
  }
}
