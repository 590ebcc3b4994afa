/**
 * Loss in bursts after Gilbert (1960) and Elliott (1963): the link is `good` or `bad`, changes
 * between packets, and loses with a probability of its own in each. All are ratios from 0 to 1.
 */
export interface BurstLoss {
  /** Probability that a packet finds the link turned bad. Share of bad: p / (p + r). */
  readonly goodToBadRatio: number;
  /** Probability that a packet finds the link healed; a bad phase lasts 1/r packets on average. */
  readonly badToGoodRatio: number;
  readonly lossInGoodRatio: number;
  readonly lossInBadRatio: number;
}

/** What one direction of a link does to packets. */
export interface DirectionSettings {
  /** Rate of IP packets, headers included, as a router would state it. */
  readonly rateBitsPerSecond: number;
  /** One-way propagation; queueing and serialisation come on top. */
  readonly delayMs: number;
  /** Delay varies by up to this much both ways around `delayMs`; at most `delayMs`. */
  readonly jitterMs: number;
  /** Whether jitter may change the order of packets. */
  readonly reorder: boolean;
  /** Independent loss of single packets. */
  readonly lossRatio: number;
  readonly burstLoss: BurstLoss | null;
  /** Share of packets that arrive twice. */
  readonly duplicateRatio: number;
  /** Share of packets damaged on the way: a receiver drops them by checksum, so they are lost. */
  readonly corruptRatio: number;
  /** Drop-tail limit of the bottleneck's queue, the packet being sent included. */
  readonly queueBytes: number;
}

export type DirectionName = "forward" | "backward";

/**
 * `drop`: what leaves the bottleneck meanwhile is lost (a cut fibre).
 * `hold`: the bottleneck stops sending and its queue fills up (a radio handover).
 */
export type OutageMode = "drop" | "hold";

/** Something that happens to one direction at a time after the start of the link. */
export interface TimelineEvent {
  readonly atMs: number;
  readonly direction: DirectionName | "both";
  /** Settings that hold from `atMs` until a later event changes them. */
  readonly set: Partial<DirectionSettings> | null;
  readonly outageMs: number;
  readonly outageMode: OutageMode;
}

/** A whole emulated link: `forward` is the way from the clients to the `to` address. */
export interface WanProfile {
  readonly name: string;
  readonly description: string;
  /** Where the figures come from; says so where they are our own choice. */
  readonly source: string;
  readonly forward: DirectionSettings;
  readonly backward: DirectionSettings;
  readonly timeline: readonly TimelineEvent[];
  /** The timeline starts again after this time; `null`: it runs once. */
  readonly timelinePeriodMs: number | null;
}
