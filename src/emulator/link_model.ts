import { Backlog } from "./backlog.ts";
import { copyCounters, type DropCause, emptyCounters, type LinkCounters } from "./counters.ts";
import { GilbertElliott } from "./gilbert_elliott.ts";
import { independentJitterMs, wanderingJitterMs } from "./jitter.ts";
import { Random } from "../core/random.ts";
import type { DirectionName, DirectionSettings, OutageMode, WanProfile } from "./settings.ts";
import { segmentsOf, TimelineCursor } from "./timeline.ts";

/** What becomes of a packet: it arrives once, twice, or is dropped for a reason. */
export type Verdict = "delivered" | "duplicated" | DropCause;

/**
 * One direction of a WAN link, pure and seeded: the same packets at the same times meet the same
 * fate on every machine.
 *
 * ```
 * offer -> byte queue (drop-tail) -> sent at the rate -> outage, burst, loss, corruption
 *       -> delay and jitter -> arrives once or twice
 * ```
 *
 * Loss lies behind the bottleneck, so lost packets have used the link as they do on a real path.
 * A packet's fate is decided when it is offered, from what the timeline says of the moment it is
 * sent; a change made by `change` or `cut` therefore does not reach what already waits in the queue.
 */
export class LinkModel {
  /** When the packet just offered arrives; valid after `delivered` and `duplicated`. */
  arrivalMs = 0;
  /** When its second copy arrives; valid after `duplicated`. */
  secondArrivalMs = 0;

  #profile: WanProfile;
  readonly #startMs: number;
  /** Time 0 of the profile's timeline, after `#startMs`. */
  #timelineStartMs = 0;
  readonly #counters = emptyCounters();
  readonly #backlog = new Backlog();
  readonly #burst: GilbertElliott;
  readonly #random: Record<"loss" | "corrupt" | "duplicate" | "jitter", Random>;
  readonly #wanderSeed: number;
  #overrides: Partial<DirectionSettings> = {};
  /** At the time of the offer: the queue's limit. */
  #arriving!: TimelineCursor;
  /** At the time a packet is sent, which may be later: everything else. */
  #sending!: TimelineCursor;
  #nowMs = 0;
  #lastDepartMs = 0;
  #lastArrivalMs = 0;
  #cut: { fromMs: number; toMs: number; mode: OutageMode } | null = null;

  /** @param startMs the profile's time 0 on the clock of `offer` */
  constructor(
    profile: WanProfile,
    readonly direction: DirectionName,
    seed: number,
    startMs: number,
  ) {
    this.#profile = profile;
    this.#startMs = startMs;
    const stream = (name: string) => new Random(seed, `${direction} ${name}`);
    this.#burst = new GilbertElliott(stream("burst"));
    this.#random = {
      loss: stream("loss"),
      corrupt: stream("corrupt"),
      duplicate: stream("duplicate"),
      jitter: stream("jitter"),
    };
    this.#wanderSeed = stream("wander").nextUint32();
    this.#compile();
  }

  /**
   * Decides what becomes of a packet.
   *
   * @param packetBytes size of the IP packet
   * @param nowMs times that go back are taken as the latest one seen
   */
  offer(packetBytes: number, nowMs: number): Verdict {
    const now = this.#nowMs = Math.max(nowMs - this.#startMs, this.#nowMs);
    const counters = this.#counters;
    counters.offeredPackets++;
    counters.offeredBytes += packetBytes;

    this.#backlog.release(now);
    const queueBytes = this.#backlog.bytes + packetBytes;
    if (queueBytes > this.#arriving.at(now - this.#timelineStartMs).settings.queueBytes) {
      return this.#drop("queue", packetBytes);
    }
    if (queueBytes > counters.queueBytesMax) counters.queueBytesMax = queueBytes;

    const sendMs = this.#firstSendMs(Math.max(now, this.#lastDepartMs));
    const segment = this.#sending.at(sendMs - this.#timelineStartMs);
    const settings = segment.settings;
    const departMs = sendMs + packetBytes * 8000 / settings.rateBitsPerSecond;
    this.#lastDepartMs = departMs;
    this.#backlog.push(departMs, packetBytes);
    counters.wirePackets++;
    counters.wireBytes += packetBytes;

    // Burst loss is asked first and always: its state follows the packets, whatever else happens.
    const burst = settings.burstLoss !== null && this.#burst.loses(settings.burstLoss);
    const loss = this.#random.loss.chance(settings.lossRatio);
    const corrupt = this.#random.corrupt.chance(settings.corruptRatio);
    const duplicate = this.#random.duplicate.chance(settings.duplicateRatio);
    if (segment.outage === "drop" || this.#isCut(sendMs, "drop")) {
      return this.#drop("outage", packetBytes);
    }
    if (burst) return this.#drop("burst", packetBytes);
    if (loss) return this.#drop("loss", packetBytes);
    if (corrupt) return this.#drop("corrupt", packetBytes);

    counters.deliveredPackets++;
    counters.deliveredBytes += packetBytes;
    this.arrivalMs = this.#startMs + this.#arrival(departMs, settings);
    if (!duplicate) return "delivered";
    counters.duplicatedPackets++;
    counters.duplicatedBytes += packetBytes;
    this.secondArrivalMs = this.#startMs + this.#arrival(departMs, settings);
    return "duplicated";
  }

  /** Another profile from now on, its timeline starting at `nowMs`; `change`s are forgotten. */
  setProfile(profile: WanProfile, nowMs: number): void {
    this.#profile = profile;
    this.#nowMs = Math.max(nowMs - this.#startMs, this.#nowMs);
    // Whole ms keep the cuts of a periodic timeline exact.
    this.#timelineStartMs = Math.floor(this.#nowMs);
    this.#overrides = {};
    this.#compile();
  }

  /** Settings that hold from now on, over the profile's and its timeline's. */
  change(settings: Partial<DirectionSettings>): void {
    this.#overrides = { ...this.#overrides, ...settings };
    this.#compile();
  }

  /**
   * An outage from `nowMs` on; it replaces an earlier one made by `cut`.
   *
   * @param durationMs Infinity (only with `drop`) until `restore`
   */
  cut(nowMs: number, durationMs: number, mode: OutageMode = "drop"): void {
    if (!(durationMs > 0) || (mode === "hold" && durationMs === Infinity)) {
      throw new RangeError(`an outage (${mode}) cannot last ${durationMs} ms`);
    }
    const fromMs = Math.max(nowMs - this.#startMs, this.#nowMs);
    this.#cut = { fromMs, toMs: fromMs + durationMs, mode };
  }

  /** Ends an outage made by `cut`. */
  restore(): void {
    this.#cut = null;
  }

  /** A copy of the counters. */
  counters(): LinkCounters {
    return copyCounters(this.#counters);
  }

  /** Bytes in the queue at `nowMs`. */
  queuedBytes(nowMs: number): number {
    this.#backlog.release(Math.max(nowMs - this.#startMs, this.#nowMs));
    return this.#backlog.bytes;
  }

  #compile(): void {
    const segments = segmentsOf(this.#profile, this.direction, this.#overrides);
    this.#arriving = new TimelineCursor(segments, this.#profile.timelinePeriodMs);
    this.#sending = new TimelineCursor(segments, this.#profile.timelinePeriodMs);
  }

  #isCut(timeMs: number, mode: OutageMode): boolean {
    const cut = this.#cut;
    return cut !== null && cut.mode === mode && timeMs >= cut.fromMs && timeMs < cut.toMs;
  }

  /** The first moment from `timeMs` on at which nothing holds the bottleneck. */
  #firstSendMs(timeMs: number): number {
    for (;;) {
      if (this.#isCut(timeMs, "hold")) timeMs = this.#cut!.toMs;
      const localMs = timeMs - this.#timelineStartMs;
      if (this.#sending.at(localMs).outage !== "hold") return timeMs;
      timeMs = this.#timelineStartMs + this.#sending.endMsOf(localMs);
    }
  }

  #arrival(departMs: number, settings: DirectionSettings): number {
    const { delayMs, jitterMs } = settings;
    let arrivalMs: number;
    if (settings.reorder) {
      arrivalMs = departMs + delayMs + independentJitterMs(this.#random.jitter, jitterMs);
    } else {
      const jitter = wanderingJitterMs(this.#wanderSeed, departMs, jitterMs);
      // Only a change of settings can make this later than its own time.
      arrivalMs = Math.max(departMs + delayMs + jitter, this.#lastArrivalMs);
    }
    if (arrivalMs > this.#lastArrivalMs) this.#lastArrivalMs = arrivalMs;
    return arrivalMs;
  }

  #drop(cause: DropCause, packetBytes: number): DropCause {
    this.#counters.droppedPackets[cause]++;
    this.#counters.droppedBytes[cause] += packetBytes;
    return cause;
  }
}
