import { type MachineAddress, type MeansSettings, sameForm } from "../guest/addresses.ts";
import { ethernetHeader } from "./ethernet.ts";
import { HostCommands } from "./host_commands.ts";
import { isRedirected, type Means, type Target, type Traffic } from "./means.ts";
import { type NetHelper, startNetHelper } from "./net_helper.ts";
import { RouteSetter } from "./route_setter.ts";
import { type Carrier, familyOf, tableOf } from "./routes.ts";
import { addressOf, TunnelEnd } from "./tunnel_end.ts";
import { type OpenTunnel, type TunnelHub, tunnelNumber } from "./tunnel_hub.ts";

export type TunnelSettings = Extract<MeansSettings, { kind: "tunnel" }>;

/** What the means touches; tests replace it. */
export interface TunnelEdges {
  readonly startNet: typeof startNetHelper;
  readonly host: HostCommands;
}

const EDGES: TunnelEdges = { startNet: startNetHelper, host: new HostCommands() };

/** Packets that wait in the device while the gateway is busy. */
const DEVICE_QUEUE_PACKETS = 1_000;

interface Opened {
  readonly end: TunnelEnd;
  readonly net: NetHelper;
  readonly tunnel: OpenTunnel;
  /** The machine's device is known: packets reach it here whatever the routes say. */
  readonly delivers: boolean;
}

/**
 * Packets of the machine's addresses carried by the gateways over their own link: a TUN device at
 * each site, no further port. At the old site what arrives while the machine stands still is kept.
 */
export class TunnelMeans implements Means {
  readonly kind = "tunnel";
  readonly #routes: RouteSetter;
  #opened: Opened | null = null;
  #lastTraffic: Traffic | null = null;
  #onBroken: (problem: string) => void = () => {};

  constructor(
    private readonly settings: TunnelSettings,
    private readonly hub: TunnelHub,
    private readonly edges: TunnelEdges = EDGES,
  ) {
    this.#routes = new RouteSetter(edges.host);
  }

  onBroken(listener: (problem: string) => void): void {
    this.#onBroken = listener;
  }

  async check(target: Target): Promise<void> {
    await this.#routes.check(target);
  }

  async apply(target: Target): Promise<void> {
    const { stage, side } = target;
    const carrier = carrierOf(target);
    if (stage === "bound" || stage === "retired") {
      await this.#routes.apply(target, carrier);
      // The machine runs here after all: what waited for it gets its chance.
      if (stage === "bound") this.#opened?.end.release("site");
      return await this.#close();
    }
    const { end } = this.#opened ??= await this.#open(target);
    if (side === "new") {
      await this.#routes.apply(target, carrier);
      end.mode = "pass";
      return;
    }
    if (isRedirected(stage)) {
      end.mode = stage === "redirecting" ? "keep" : "pass";
      // The machine waits for them, and not for the routes, which are as they were in most cases.
      if (stage === "draining") end.release("peer");
      await this.#routes.apply(target, carrier);
      return;
    }
    await this.#routes.apply(target, carrier);
    end.release("site");
  }

  /** Packets pass through the device and are delivered, until the machine stands. */
  async arm(target: Target): Promise<void> {
    const opened = this.#opened;
    if (opened === null || !opened.delivers) return;
    opened.end.mode = "deliver";
    await this.#routes.apply({ ...target, stage: "redirecting" }, carrierOf(target));
  }

  commands(target: Target): string[] {
    const carrier = carrierOf(target);
    const device = target.stage === "bound" || target.stage === "retired"
      ? `# the process that has ${carrier.device} ends, and the device with it`
      : `# a process makes the TUN device ${carrier.device}, MTU ${this.settings.mtuBytes}`;
    return [device, ...this.#routes.commands(target, carrier)];
  }

  traffic(): Promise<Traffic | null> {
    return Promise.resolve(this.#opened?.end.traffic() ?? this.#lastTraffic);
  }

  async letGo(): Promise<void> {
    await this.#close();
  }

  async #open(target: Target): Promise<Opened> {
    const { addresses, side, peer, migration } = target;
    const { device } = carrierOf(target);
    const { mtuBytes, keptBytesMax } = this.settings;
    const ways: { net?: NetHelper; tunnel?: OpenTunnel; machine?: (packet: Uint8Array) => void } =
      {};
    const lan = await this.edges.host.deviceOf(target.settings.device);
    const isKnown = lan !== null && addresses.every(({ mac }) => mac !== undefined);
    if (side === "old" && isKnown) {
      const headers = machineHeaders(addresses, lan.mac);
      ways.machine = (packet) => {
        const header = headers.get(addressOf(packet, "to") ?? "");
        if (header) ways.net?.sendFrame(lan.index, joined(header, packet));
      };
    }
    const end = new TunnelEnd(
      side,
      addresses.map(({ ip }) => ip),
      {
        toSite: (packet) => ways.net?.write(packet) ?? false,
        toMachine: ways.machine ?? null,
        toPeer: (packet) => ways.tunnel?.send(packet) ?? false,
      },
      keptBytesMax,
      () => performance.now(),
    );
    const net = ways.net = await this.edges.startNet(device, (packet) => end.fromSite(packet));
    const { host } = this.edges;
    try {
      const queue = ["txqueuelen", `${DEVICE_QUEUE_PACKETS}`];
      // Before it is up: an address of its own would be one that nobody asked for.
      await host.run(["ip", "link", "set", device, "mtu", `${mtuBytes}`, ...queue]
        .concat("addrgenmode", "none"));
      await host.run(["ip", "link", "set", device, "up"]);
      // What comes out of it has addresses of elsewhere; a strict check would drop them all.
      await host.setSetting(`ipv4/conf/${device}/rp_filter`, "2");
    } catch (error) {
      await net.close();
      throw error;
    }
    const tunnel = ways.tunnel = this.hub.open(
      peer,
      tunnelNumber(migration),
      (packet) => end.fromPeer(packet),
    );
    const opened: Opened = { end, net, tunnel, delivers: ways.machine !== undefined };
    void net.ended.then(() => {
      if (this.#opened !== opened) return;
      // Its device is gone, and the routes that led into it.
      this.#opened = null;
      this.#routes.forget();
      tunnel.close();
      this.#onBroken(`the process that has ${device} has ended`);
    });
    return opened;
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    if (!opened) return;
    this.#lastTraffic = opened.end.traffic();
    this.#routes.forget();
    opened.tunnel.close();
    await opened.net.close();
  }
}

/** From the gateway's device to the machine's, by address. */
function machineHeaders(
  addresses: readonly MachineAddress[],
  hostMac: string,
): Map<string, Uint8Array> {
  return new Map(
    addresses.map(({ ip, mac }) => [
      sameForm(ip),
      ethernetHeader(mac!, hostMac, familyOf(ip) === 4 ? 0x0800 : 0x86dd),
    ]),
  );
}

function joined(header: Uint8Array, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(header.length + packet.length);
  frame.set(header);
  frame.set(packet, header.length);
  return frame;
}

function carrierOf({ migration, side }: Target): Carrier {
  // A site may be the old one of one move and the new one of another: their tables differ.
  return { device: `cw${side === "old" ? "o" : "n"}${tableOf(migration)}`, via: null };
}
