import type { LinkCounters } from "./counters.ts";
import type { DirectionName, DirectionSettings, OutageMode, WanProfile } from "./settings.ts";

/** First line that the process of a TUN link reads. */
export interface TunSetup {
  readonly profile: WanProfile;
  readonly seed: number;
  readonly mtuBytes: number;
  readonly left: TunDevice;
  readonly right: TunDevice;
}

export interface TunDevice {
  /** A name under /run/netns, `null` for the namespace of the process. */
  readonly netns: string | null;
  readonly device: string;
}

/** Every later line; each is answered by one `TunAnswer`. Directions default to both. */
export type TunRequest =
  | { readonly command: "counters" }
  | { readonly command: "setProfile"; readonly profile: WanProfile }
  | {
    readonly command: "applyChange";
    readonly settings: Partial<DirectionSettings>;
    readonly direction?: DirectionName;
  }
  | {
    readonly command: "outage";
    /** `null`: until `restore`. */
    readonly durationMs: number | null;
    readonly mode: OutageMode;
    readonly direction?: DirectionName;
  }
  | { readonly command: "restore"; readonly direction?: DirectionName };

/** What the process of a TUN link knows about its work. */
export interface TunProcessCounters {
  /** From left to right. */
  readonly forward: LinkCounters;
  readonly backward: LinkCounters;
  readonly inFlightPackets: number;
  readonly sentPackets: number;
  /** Packets that left more than 5 ms after their time. */
  readonly latePackets: number;
  readonly lateMsMax: number;
  /** Packets that a device refused. */
  readonly failedSends: number;
}

/** `ready` answers the setup, `done` a request. */
export type TunAnswer =
  | { readonly event: "ready" }
  | { readonly event: "done"; readonly counters: TunProcessCounters }
  | { readonly event: "failed"; readonly message: string };
