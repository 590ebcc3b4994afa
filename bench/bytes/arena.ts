import type { DirectionName, OutageMode, WanProfile } from "../../src/emulator/settings.ts";
import { startTunLink, type TunCounters, type TunLink } from "../../src/emulator/tun_link.ts";
import { namespacePair } from "../goodput/namespaces.ts";

export type SiteName = "a" | "b";

/** One site: a namespace with one way out, and a folder. */
export interface Site {
  readonly name: SiteName;
  readonly netns: string;
  /** Of its end of the link. */
  readonly address: string;
  readonly directory: string;
}

/** What has crossed so far, in IP packets with their headers; forward is from `a` to `b`. */
export interface WireCount {
  readonly forwardBytes: number;
  readonly backwardBytes: number;
}

/** Each site's end of the link. */
export const DEVICE = "wan0";
/** That both ends have an address of. */
export const NETWORK = "10.207.2.0/24";
const PREFIX_LENGTH = 24;
const ADDRESSES = { a: "10.207.2.1", b: "10.207.2.2" } as const;

/**
 * Two namespaces and between them the emulated link, the only way from one to the other: whoever
 * moves a machine pays for every packet on the same counters.
 */
export class Arena implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly sites: Readonly<Record<SiteName, Site>>,
    private readonly link: TunLink,
    private readonly owned: AsyncDisposableStack,
  ) {}

  static async open(profile: WanProfile, seed: number): Promise<Arena> {
    await using made = new AsyncDisposableStack();
    // Short: paths of unix sockets below it hold 107 bytes.
    const directory = await Deno.makeTempDir({ prefix: "cw-by-" });
    made.defer(() => Deno.remove(directory, { recursive: true }));
    const namespaces = made.use(await namespacePair());
    const site = async (name: SiteName, netns: string): Promise<Site> => {
      await Deno.mkdir(`${directory}/${name}`);
      return { name, netns, address: ADDRESSES[name], directory: `${directory}/${name}` };
    };
    const sites = { a: await site("a", namespaces.left), b: await site("b", namespaces.right) };
    const end = ({ netns, address }: Site) => ({
      netns,
      device: DEVICE,
      address: `${address}/${PREFIX_LENGTH}`,
    });
    const link = made.use(
      await startTunLink({ profile, seed, left: end(sites.a), right: end(sites.b) }),
    );
    return new Arena(directory, sites, link, made.move());
  }

  async wire(): Promise<WireCount> {
    const { forward, backward } = await this.link.counters();
    return { forwardBytes: forward.wireBytes, backwardBytes: backward.wireBytes };
  }

  /** Everything that the link counts. */
  async counters(): Promise<TunCounters> {
    return await this.link.counters();
  }

  /** An outage from now on; without a direction both are dark. */
  async outage(durationMs: number, mode: OutageMode, direction?: DirectionName): Promise<void> {
    await this.link.outage(durationMs, mode, direction);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

/** What crossed since an earlier count. */
export function crossed(before: WireCount, after: WireCount): WireCount {
  return {
    forwardBytes: after.forwardBytes - before.forwardBytes,
    backwardBytes: after.backwardBytes - before.backwardBytes,
  };
}

export function bothWays({ forwardBytes, backwardBytes }: WireCount): number {
  return forwardBytes + backwardBytes;
}

/** The same profile without any loss, at a rate if one is given; queues keep their length in time. */
export function withoutLoss(profile: WanProfile, bitsPerSecond: number | null): WanProfile {
  const direction = (settings: WanProfile["forward"]): WanProfile["forward"] => {
    const rateBitsPerSecond = bitsPerSecond ?? settings.rateBitsPerSecond;
    const longer = rateBitsPerSecond / settings.rateBitsPerSecond;
    return {
      ...settings,
      rateBitsPerSecond,
      queueBytes: Math.ceil(settings.queueBytes * longer),
      lossRatio: 0,
      burstLoss: null,
      duplicateRatio: 0,
      corruptRatio: 0,
    };
  };
  return {
    ...profile,
    forward: direction(profile.forward),
    backward: direction(profile.backward),
    timeline: [],
    timelinePeriodMs: null,
  };
}
