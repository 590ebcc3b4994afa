import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { carryingKind, type MeansSettings } from "../guest/addresses.ts";
import { type Announcement, announcementFrame, announcementText } from "./announcement.ts";
import { isRedirected, type Means, type Target } from "./means.ts";
import { type NetHelper, startNetHelper } from "./net_helper.ts";
import { HostCommands } from "./host_commands.ts";

export type AnnounceSettings = Extract<MeansSettings, { kind: "announce" }>;

/** Sends frames out of devices; what announcements need of the network process. */
export type FrameSender = Pick<NetHelper, "sendFrame" | "close">;

/** What the means touches; tests replace it. */
export interface AnnounceEdges {
  readonly startSender: () => Promise<FrameSender>;
  readonly host: Pick<HostCommands, "deviceOf">;
}

const EDGES: AnnounceEdges = {
  startSender: () => startNetHelper(null),
  host: new HostCommands(),
};

interface Shown extends Announcement {
  readonly isRouter: boolean;
}

/**
 * What has to be known on the machine's network at a stage.
 *
 * @param hostMac of the gateway's device there
 */
export function announcementsOf(target: Target, hostMac: string): readonly Shown[] {
  const { side, stage, previous, addresses, settings, isHome } = target;
  const isCarried = carryingKind(settings) !== null;
  const atMachine = addresses.flatMap(({ ip, mac }): Shown[] =>
    mac === undefined ? [] : [{ ip, mac: mac.toLowerCase(), to: null, isRouter: false }]
  );
  if (side === "old") {
    if (isRedirected(stage)) {
      // Neighbours that have the machine's MAC would go on sending to a device that is gone.
      return isCarried
        ? addresses.map(({ ip }) => ({ ip, mac: hostMac, to: null, isRouter: false }))
        : [];
    }
    // The machine stays, and may have been announced elsewhere.
    const mayBeElsewhere = previous === "redirecting" || previous === null;
    return mayBeElsewhere && (stage === "prepared" || stage === "bound") ? atMachine : [];
  }
  if (!isRedirected(stage)) return [];
  const routers = isCarried && !isHome
    ? addresses.flatMap(({ gateway, mac }): Shown[] =>
      gateway === undefined
        ? []
        : [{ ip: gateway, mac: hostMac, to: mac?.toLowerCase() ?? null, isRouter: true }]
    )
    : [];
  // The machine's own addresses only once it runs here: until then a refusal leaves them where they are.
  return stage === "draining" ? [...atMachine, ...routers] : routers;
}

/** Gratuitous ARP and unsolicited neighbour advertisements from the gateway's host, repeated. */
export class AnnounceMeans implements Means {
  readonly kind = "announce";
  #sender: Promise<FrameSender> | null = null;
  #repeating: AbortController | null = null;
  #repeated: Promise<void> = Promise.resolve();

  constructor(
    private readonly settings: AnnounceSettings,
    private readonly clock: Pick<Clock, "sleep">,
    private readonly edges: AnnounceEdges = EDGES,
  ) {}

  async check({ settings }: Target): Promise<void> {
    await this.#device(settings.device);
  }

  async apply(target: Target): Promise<void> {
    const { stage, side, settings } = target;
    // Where nothing is carried a drain is over at once, and the machine not announced often enough.
    if (stage === "retired" && side === "new") await this.#repeated;
    await this.#quiet();
    if (stage === "retired") return await this.letGo();
    const device = await this.#device(settings.device);
    // Made ready before the pause: it takes some tens of milliseconds to start.
    const sender = stage === "bound" && target.previous === null ? null : await this.#ready();
    const frames = announcementsOf(target, device.mac)
      .map((each) => announcementFrame(each, each.isRouter));
    if (frames.length > 0) {
      const sending = sender ?? await this.#ready();
      const say = () => frames.forEach((frame) => sending.sendFrame(device.index, frame));
      say();
      this.#repeating = new AbortController();
      this.#repeated = this.#repeat(say, this.#repeating.signal);
    }
    if (stage === "draining" || stage === "bound") {
      this.#repeated = this.#repeated.then(() => this.#closeSender());
    }
  }

  commands(target: Target): string[] {
    const { device } = target.settings;
    return announcementsOf(target, "the gateway's MAC")
      .map((each) => announcementText(each, device));
  }

  traffic(): Promise<null> {
    return Promise.resolve(null);
  }

  async letGo(): Promise<void> {
    await this.#quiet();
    await this.#closeSender();
  }

  async #repeat(say: () => void, signal: AbortSignal): Promise<void> {
    const { rounds, intervalMs } = this.settings;
    for (let round = 1; round < rounds; round++) {
      await this.clock.sleep(intervalMs, signal).catch(() => {});
      if (signal.aborted) return;
      say();
    }
  }

  /** What an earlier stage still says would be wrong by now. */
  async #quiet(): Promise<void> {
    this.#repeating?.abort();
    await this.#repeated;
  }

  #ready(): Promise<FrameSender> {
    const sender = this.#sender ??= this.edges.startSender();
    sender.catch(() => {
      if (this.#sender === sender) this.#sender = null;
    });
    return sender;
  }

  async #closeSender(): Promise<void> {
    const sender = this.#sender;
    this.#sender = null;
    await (await sender?.catch(() => null))?.close();
  }

  async #device(name: string): Promise<{ index: number; mac: string }> {
    const device = await this.edges.host.deviceOf(name);
    if (device) return device;
    throw new GatewayError("redirect_failed", `Cannot announce addresses: no device ${name}`, {
      hint: "redirect.device of the machine's definition names the gateway's device on its network",
    });
  }
}
