import { formatIp } from "../core/ip_address.ts";
import { sameForm } from "../guest/addresses.ts";
import type { AddressTraffic, Traffic } from "./means.ts";
import type { RedirectSide } from "./state.ts";

/** Where the packets of one end of a tunnel come from and go to. */
export interface TunnelWays {
  /** Into the site's own network. @returns false where it was dropped */
  readonly toSite: (packet: Uint8Array) => boolean;
  /** To the machine that runs here, past the routes; null where its device is not known. */
  readonly toMachine: ((packet: Uint8Array) => void) | null;
  /** To the peer. @returns false where it was dropped */
  readonly toPeer: (packet: Uint8Array) => boolean;
}

/**
 * What is done with packets for the machine at the old site: `deliver` them while it still runs
 * there, `keep` them while it stands still, `pass` them to the peer once it runs there.
 */
export type TunnelMode = "deliver" | "keep" | "pass";

/**
 * Packets delivered for so long before the machine was seen to stand may not have been taken: they
 * are kept as well. Whoever gets one twice knows that IP does that.
 */
const UNSURE_MS = 60;

/** Counted with their bytes as IP packets. */
interface Count {
  toMachinePackets: number;
  toMachineBytes: number;
  fromMachinePackets: number;
  fromMachineBytes: number;
}

/**
 * One end of a tunnel: lets packets of the machine's addresses pass and no others, counts them, and
 * at the old site keeps those for the machine while it stands still. Bounded: what has no room is
 * dropped and counted.
 */
export class TunnelEnd {
  #mode: TunnelMode = "keep";
  /** Delivered lately. */
  #recent: { readonly packet: Uint8Array; readonly atMs: number }[] = [];
  readonly #counts: Map<string, Count>;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #keptEver = { packets: 0, bytes: 0 };
  #dropped = 0;

  constructor(
    private readonly side: RedirectSide,
    ips: readonly string[],
    private readonly ways: TunnelWays,
    private readonly keptBytesMax: number,
    private readonly nowMs: () => number,
  ) {
    this.#counts = new Map(
      ips.map((ip) => [sameForm(ip), {
        toMachinePackets: 0,
        toMachineBytes: 0,
        fromMachinePackets: 0,
        fromMachineBytes: 0,
      }]),
    );
  }

  get mode(): TunnelMode {
    return this.#mode;
  }

  set mode(mode: TunnelMode) {
    const stands = this.#mode === "deliver" && mode === "keep";
    this.#mode = mode;
    const sinceMs = this.nowMs() - UNSURE_MS;
    for (const { packet, atMs } of this.#recent.splice(0)) {
      if (stands && atMs >= sinceMs) this.#keep(packet);
    }
  }

  /** A packet that the site's kernel led here. @param packet valid until this returns */
  fromSite(packet: Uint8Array): void {
    const count = this.#counted(packet, this.side === "old" ? "to" : "from");
    if (!count) return;
    if (this.side === "old" && this.#mode === "keep") return this.#keep(packet);
    if (this.side === "old" && this.#mode === "deliver") return this.#deliver(packet);
    if (!this.ways.toPeer(packet)) this.#dropped++;
  }

  /** A packet of the peer. @param packet valid until this returns */
  fromPeer(packet: Uint8Array): void {
    const count = this.#counted(packet, this.side === "old" ? "from" : "to");
    if (!count) return;
    if (!this.ways.toSite(packet)) this.#dropped++;
  }

  /** What was kept goes to the peer, or back into the site's network where the machine stayed. */
  release(to: "peer" | "site"): void {
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    for (const packet of kept) {
      const sent = to === "peer" ? this.ways.toPeer(packet) : this.ways.toSite(packet);
      if (!sent) this.#dropped++;
    }
  }

  traffic(): Traffic {
    return {
      addresses: [...this.#counts].map(([ip, count]): AddressTraffic => ({ ip, ...count })),
      keptPackets: this.#keptEver.packets,
      keptBytes: this.#keptEver.bytes,
      droppedPackets: this.#dropped,
    };
  }

  #deliver(packet: Uint8Array): void {
    const atMs = this.nowMs();
    while (this.#recent.length > 0 && this.#recent[0].atMs < atMs - UNSURE_MS) {
      this.#recent.shift();
    }
    this.#recent.push({ packet: packet.slice(), atMs });
    this.ways.toMachine?.(packet);
  }

  #keep(packet: Uint8Array): void {
    // The oldest are the ones that their senders miss first.
    if (this.#keptBytes + packet.length > this.keptBytesMax) {
      this.#dropped++;
      return;
    }
    this.#kept.push(packet.slice());
    this.#keptBytes += packet.length;
    this.#keptEver.packets++;
    this.#keptEver.bytes += packet.length;
  }

  /** The count of the machine's address in the packet; undefined for a packet that is not its. */
  #counted(packet: Uint8Array, direction: "to" | "from"): Count | undefined {
    const ip = addressOf(packet, direction);
    const count = ip === null ? undefined : this.#counts.get(ip);
    if (!count) {
      this.#dropped++;
      return undefined;
    }
    if (direction === "to") {
      count.toMachinePackets++;
      count.toMachineBytes += packet.length;
    } else {
      count.fromMachinePackets++;
      count.fromMachineBytes += packet.length;
    }
    return count;
  }
}

/** The destination (`to`) or source (`from`) of an IP packet; null for what is none. */
export function addressOf(packet: Uint8Array, direction: "to" | "from"): string | null {
  const version = packet[0] >> 4;
  const at = direction === "to";
  if (version === 4 && packet.length >= 20) {
    return formatIp({ family: 4, bytes: packet.subarray(at ? 16 : 12, at ? 20 : 16) });
  }
  if (version === 6 && packet.length >= 40) {
    return formatIp({ family: 6, bytes: packet.subarray(at ? 24 : 8, at ? 40 : 24) });
  }
  return null;
}
