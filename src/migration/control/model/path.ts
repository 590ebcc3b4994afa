import type { Random } from "../../../core/random.ts";
import type { PathMeasurement } from "../../../link/peer_link.ts";
import type { PathModel, PathSegment } from "./path_model.ts";

/** The estimate of the bottleneck is off by up to about this share, and changes over this long. */
const NOISE_RATIO = 0.04;
const NOISE_MS = 4_000;
/** How long a link that is dark counts as up, ms. */
const DOWN_AFTER_MS = 8_000;
/** What a pacer leaves below a bottleneck that it has to itself, and what a download leaves to it. */
const OWN_RATIO = 0.97;
const BESIDE_GREEDY_RATIO = 0.5;
const GOODPUT_MS = 1_000;
/** A bottleneck is learnt only by filling it, to this share. */
const FILLED_RATIO = 0.9;

/**
 * A path as a fluid: what is handed over is applied after one way and the queue, and known to be so
 * after a round trip. While it is dark its own time stands still.
 */
export class PathFluid {
  #nowMs = 0;
  /** Time of the path itself, and what had been handed over at times of it. */
  #pathMs = 0;
  readonly #sent: { readonly pathMs: number; readonly bytes: number }[] = [{ pathMs: 0, bytes: 0 }];
  #sentBytes = 0;
  #acknowledgedBytes = 0;
  readonly #applied: { readonly atMs: number; readonly bytes: number }[] = [];
  #queueMs = 0;
  #noise = 0;
  #darkForMs = 0;
  #leastRoundTripMs = Infinity;
  #fullMs = 0;
  #hasBeenFilled = false;

  constructor(readonly model: PathModel, private readonly random: Random) {}

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  get darkForMs(): number {
    return this.#darkForMs;
  }

  get queueMs(): number {
    return this.#queueMs;
  }

  /** Of the queue, what a download keeps there. */
  get foreignQueueMs(): number {
    return this.#others() > 0 && this.model.others!.kind === "greedy" ? this.#queueMs : 0;
  }

  get isUp(): boolean {
    return this.#darkForMs < DOWN_AFTER_MS;
  }

  get segment(): PathSegment {
    const { segments, periodMs } = this.model;
    const atMs = periodMs === null ? this.#nowMs : this.#nowMs % periodMs;
    return segments.findLast(({ fromMs }) => fromMs <= atMs) ?? segments[0];
  }

  /** Time passes. @returns wire bytes that can be handed over in it, at the cap */
  advance(ms: number, capBytesPerSecond: number | null): number {
    const { isDark, bytesPerSecond } = this.segment;
    this.#nowMs += ms;
    if (isDark) {
      this.#darkForMs += ms;
      return 0;
    }
    this.#darkForMs = 0;
    this.#pathMs += ms;
    const swing = Math.min(1, ms / NOISE_MS);
    this.#noise += (this.random.nextRatio() * 2 - 1) * Math.sqrt(swing) - this.#noise * swing;
    return this.#rate(bytesPerSecond, capBytesPerSecond) * ms / 1000;
  }

  /** What was handed over in the time that passed last; the queue follows. */
  hand(bytes: number, ms: number): void {
    this.#sentBytes += bytes;
    this.#sent.push({ pathMs: this.#pathMs, bytes: this.#sentBytes });
    const { isDark, bytesPerSecond, roundTripMs } = this.segment;
    if (bytes * 1000 / ms > FILLED_RATIO * this.#rate(bytesPerSecond, null)) {
      this.#hasBeenFilled = true;
    }
    if (!isDark) this.#fill(bytes * 1000 / ms / bytesPerSecond, ms);
    const lateMs = roundTripMs + this.#queueMs;
    this.#acknowledgedBytes = Math.max(
      this.#acknowledgedBytes,
      this.#sentAt(this.#pathMs - lateMs),
    );
    this.#applied.push({ atMs: this.#nowMs, bytes: this.#acknowledgedBytes });
    while (this.#applied.length > 2 && this.#applied[1].atMs <= this.#nowMs - GOODPUT_MS) {
      this.#applied.shift();
    }
    if (!isDark) this.#leastRoundTripMs = Math.min(this.#leastRoundTripMs, lateMs);
  }

  measure(capBytesPerSecond: number | null): PathMeasurement {
    const { bytesPerSecond, roundTripMs } = this.segment;
    const { jitterMs, lossRatio } = this.model;
    const first = this.#applied.at(0);
    const last = this.#applied.at(-1);
    const spanMs = first && last ? last.atMs - first.atMs : 0;
    const shake = this.random.nextRatio() * jitterMs;
    const isKnown = this.#hasBeenFilled && this.#nowMs > 1_000 + 4 * roundTripMs;
    const estimate = this.#rate(bytesPerSecond, null) * (1 + this.#noise * NOISE_RATIO);
    const cap = capBytesPerSecond === null ? Infinity : bytesPerSecond * OWN_RATIO;
    return {
      roundTripMs: roundTripMs + this.#queueMs + shake,
      minRoundTripMs: Number.isFinite(this.#leastRoundTripMs)
        ? this.#leastRoundTripMs
        : roundTripMs,
      bottleneckBytesPerSecond: isKnown ? Math.min(cap, estimate) : null,
      goodputBytesPerSecond: spanMs > 0 ? (last!.bytes - first!.bytes) * 1000 / spanMs : null,
      lossRatio,
      queueMs: this.#queueMs + shake / 4,
      jitterMs: jitterMs / 3,
      silentMs: this.#darkForMs > 0 ? this.#darkForMs + roundTripMs / 2 : 20,
    };
  }

  #rate(bytesPerSecond: number, capBytesPerSecond: number | null): number {
    const others = this.#others();
    const cap = capBytesPerSecond ?? Infinity;
    if (others === 0) return Math.min(cap, bytesPerSecond * OWN_RATIO);
    // A cap is what we push against the others; without one the pacer finds its place beside them.
    const beside = this.model.others!.kind === "greedy" ? BESIDE_GREEDY_RATIO : 1 - others;
    if (capBytesPerSecond === null) return bytesPerSecond * beside * OWN_RATIO;
    return Math.min(cap, bytesPerSecond * OWN_RATIO);
  }

  /** Share of the path that others want. */
  #others(): number {
    const { others } = this.model;
    if (others === null || this.#nowMs < others.fromMs || this.#nowMs >= others.untilMs) return 0;
    return others.share;
  }

  #fill(ownShare: number, ms: number): void {
    const most = this.model.queueMs;
    const others = this.#others();
    if (others > 0 && this.model.others!.kind === "greedy") {
      // Saw teeth of a download between half a queue and a full one.
      this.#fullMs += ms;
      this.#queueMs = most * (0.5 + 0.5 * ((this.#fullMs / 3_000) % 1));
      return;
    }
    const surplus = ownShare + others - 1;
    this.#queueMs = Math.max(0, Math.min(most, this.#queueMs + surplus * ms));
  }

  /** What had been handed over at a time of the path. */
  #sentAt(pathMs: number): number {
    const sent = this.#sent;
    while (sent.length > 2 && sent[1].pathMs <= pathMs) sent.shift();
    const [from, to] = sent;
    if (pathMs <= from.pathMs) return pathMs < from.pathMs ? 0 : from.bytes;
    if (to.pathMs <= from.pathMs) return from.bytes;
    const share = Math.min(1, (pathMs - from.pathMs) / (to.pathMs - from.pathMs));
    return from.bytes + (to.bytes - from.bytes) * share;
  }
}
