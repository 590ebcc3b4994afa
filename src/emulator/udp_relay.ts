import { formatHostPort } from "../config/address.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { growReceiveBuffer } from "../host/receive_buffer.ts";
import { systemClock } from "../host/system_clock.ts";
import { headerBytes, localHostFor, resolveAddress, type UdpAddress } from "./address.ts";
import type { LinkCounters } from "./counters.ts";
import { DelayedSender, type Punctuality } from "./delayed_sender.ts";
import { LinkModel } from "./link_model.ts";
import type { DirectionName, DirectionSettings, OutageMode, WanProfile } from "./settings.ts";

/** Clients remembered at once, each with a socket; beyond, the one silent for longest is forgotten. */
export const MAX_FLOWS = 512;

/** The largest datagram there is. */
const RECEIVE_BYTES = 65_536;

export interface RelayOptions {
  readonly profile: WanProfile;
  /** `HOST:PORT` that clients send to; port 0 lets the system choose. */
  readonly listen: string;
  /** `HOST:PORT` that the packets are for. */
  readonly to: string;
  /** Default 1. */
  readonly seed?: number;
  readonly clock?: Clock;
}

export interface RelayCounters extends Punctuality {
  /** From the clients to `to`. */
  readonly forward: LinkCounters;
  readonly backward: LinkCounters;
  /** Packets that the links have passed and that are still on their way. */
  readonly inFlightPackets: number;
  readonly flows: number;
  readonly forgottenFlows: number;
  /** Errors of sockets that were survived. */
  readonly socketErrors: number;
}

/** A running UDP relay. Directions default to both. */
export interface Relay {
  /** Where it listens, with the port that the system chose. */
  readonly address: string;
  readonly to: string;
  counters(): RelayCounters;
  /** Another profile, its timeline starting now; packets on their way are kept. */
  setProfile(profile: WanProfile): void;
  /** Settings that replace the profile's from now on. */
  applyChange(settings: Partial<DirectionSettings>, direction?: DirectionName): void;
  /** An outage that starts now; what is already in queue or flight still arrives. */
  outage(durationMs: number, mode?: OutageMode, direction?: DirectionName): void;
  /** An outage until `restore`. */
  cut(direction?: DirectionName): void;
  /** Ends what `outage` or `cut` began. */
  restore(direction?: DirectionName): void;
  /** Closes the sockets and forgets packets on their way. */
  close(): Promise<void>;
}

interface Flow {
  readonly client: Deno.NetAddr;
  readonly socket: Deno.DatagramConn;
  lastUsedMs: number;
}

/**
 * Starts a relay that passes UDP packets through a link model, without root.
 *
 * Like a NAT it opens one socket per client address, so several clients (or QUIC connections) pass
 * through one emulated link. Packet sizes count as IP packets: 28 bytes of headers are added on
 * IPv4, 48 on IPv6, by the family of `to`.
 *
 * @throws {GatewayError} `address_invalid`, `address_in_use`
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const listen = await resolveAddress(options.listen);
  const to = await resolveAddress(options.to);
  const socket = bind(listen);
  growReceiveBuffer((socket.addr as Deno.NetAddr).port);
  return new UdpRelay(socket, to, options);
}

function bind(listen: UdpAddress): Deno.DatagramConn {
  try {
    return Deno.listenDatagram(listen);
  } catch (cause) {
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new GatewayError(
        "address_in_use",
        `Cannot listen on ${formatHostPort(listen)}: another program does`,
        {
          hint: "Choose another port, or port 0 for a free one; `ss -ulnp` shows who has it",
          cause,
        },
      );
    }
    if (cause instanceof Deno.errors.AddrNotAvailable) {
      throw new GatewayError(
        "address_invalid",
        `Cannot listen on ${formatHostPort(listen)}: this machine does not have that address`,
        { hint: "Choose an address of this machine, such as 127.0.0.1", cause },
      );
    }
    throw cause;
  }
}

class UdpRelay implements Relay {
  readonly address: string;
  readonly to: string;
  readonly #clock: Clock;
  readonly #links: Record<DirectionName, LinkModel>;
  readonly #sender: DelayedSender;
  readonly #toAddress: Deno.NetAddr;
  readonly #headerBytes: number;
  readonly #flows = new Map<string, Flow>();
  /** Most packets come from the client of the packet before. */
  #latestFlow: Flow | null = null;
  readonly #receivers = new Set<Promise<void>>();
  #forgottenFlows = 0;
  #socketErrors = 0;
  #closed = false;

  constructor(readonly listener: Deno.DatagramConn, to: UdpAddress, options: RelayOptions) {
    this.#clock = options.clock ?? systemClock();
    this.#toAddress = to;
    this.#headerBytes = headerBytes(to);
    this.address = formatHostPort(listener.addr as Deno.NetAddr);
    this.to = formatHostPort(to);
    const seed = options.seed ?? 1;
    const startMs = this.#clock.nowMs();
    this.#links = {
      forward: new LinkModel(options.profile, "forward", seed, startMs),
      backward: new LinkModel(options.profile, "backward", seed, startMs),
    };
    this.#sender = new DelayedSender(this.#clock);
    this.#receive(listener, (bytes, from) => {
      const flow = this.#flowOf(from);
      if (flow) this.#pass("forward", bytes, flow.socket, this.#toAddress);
    });
  }

  counters(): RelayCounters {
    return {
      forward: this.#links.forward.counters(),
      backward: this.#links.backward.counters(),
      ...this.#sender.punctuality,
      inFlightPackets: this.#sender.length,
      flows: this.#flows.size,
      forgottenFlows: this.#forgottenFlows,
      socketErrors: this.#socketErrors,
    };
  }

  setProfile(profile: WanProfile): void {
    for (const link of this.#chosen()) link.setProfile(profile, this.#clock.nowMs());
  }

  applyChange(settings: Partial<DirectionSettings>, direction?: DirectionName): void {
    for (const link of this.#chosen(direction)) link.change(settings);
  }

  outage(durationMs: number, mode: OutageMode = "drop", direction?: DirectionName): void {
    for (const link of this.#chosen(direction)) link.cut(this.#clock.nowMs(), durationMs, mode);
  }

  cut(direction?: DirectionName): void {
    this.outage(Infinity, "drop", direction);
  }

  restore(direction?: DirectionName): void {
    for (const link of this.#chosen(direction)) link.restore();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.listener.close();
    for (const flow of this.#flows.values()) flow.socket.close();
    await this.#sender.close();
    await Promise.all(this.#receivers);
  }

  #chosen(direction?: DirectionName): LinkModel[] {
    return direction ? [this.#links[direction]] : Object.values(this.#links);
  }

  #pass(direction: DirectionName, bytes: Uint8Array, socket: Deno.DatagramConn, to: Deno.NetAddr) {
    const link = this.#links[direction];
    const verdict = link.offer(bytes.length + this.#headerBytes, this.#clock.nowMs());
    if (verdict === "delivered" || verdict === "duplicated") {
      // A copy: `bytes` lies in the receive buffer.
      const datagram = { bytes: bytes.slice(), socket, to };
      this.#sender.schedule(link.arrivalMs, datagram);
      if (verdict === "duplicated") this.#sender.schedule(link.secondArrivalMs, datagram);
    }
    this.#sender.poke();
  }

  #flowOf(client: Deno.NetAddr): Flow | null {
    const nowMs = this.#clock.nowMs();
    const latest = this.#latestFlow;
    if (latest?.client.port === client.port && latest.client.hostname === client.hostname) {
      latest.lastUsedMs = nowMs;
      return latest;
    }
    const key = formatHostPort(client);
    let flow = this.#flows.get(key);
    if (!flow) {
      const hostname = localHostFor(this.#toAddress as UdpAddress);
      try {
        const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
        growReceiveBuffer((socket.addr as Deno.NetAddr).port);
        flow = { client, socket, lastUsedMs: nowMs };
      } catch {
        // Out of sockets: the packet is lost, the relay goes on.
        this.#socketErrors++;
        return null;
      }
      if (this.#flows.size >= MAX_FLOWS) this.#forgetOldest();
      this.#flows.set(key, flow);
      this.#receiveAnswers(flow);
    }
    flow.lastUsedMs = nowMs;
    return this.#latestFlow = flow;
  }

  #receiveAnswers(flow: Flow): void {
    const { hostname, port } = this.#toAddress;
    this.#receive(flow.socket, (bytes, from) => {
      // Only the peer's packets, as a connected socket would see them.
      if (from.port !== port || from.hostname !== hostname) return;
      this.#pass("backward", bytes, this.listener, flow.client);
    });
  }

  #forgetOldest(): void {
    let oldest: Flow | null = null;
    for (const flow of this.#flows.values()) {
      if (oldest === null || flow.lastUsedMs < oldest.lastUsedMs) oldest = flow;
    }
    this.#flows.delete(formatHostPort(oldest!.client));
    if (this.#latestFlow === oldest) this.#latestFlow = null;
    oldest!.socket.close();
    this.#forgottenFlows++;
  }

  /** Reads a socket eagerly until it is closed: the kernel's buffer holds some 90 packets only. */
  #receive(
    socket: Deno.DatagramConn,
    handle: (bytes: Uint8Array, from: Deno.NetAddr) => void,
  ): void {
    const loop = async () => {
      const buffer = new Uint8Array(RECEIVE_BYTES);
      for (;;) {
        try {
          const [bytes, from] = await socket.receive(buffer);
          handle(bytes, from as Deno.NetAddr);
        } catch (error) {
          // Both are how a closed socket ends a pending read.
          if (
            this.#closed || error instanceof Deno.errors.BadResource ||
            error instanceof Deno.errors.Interrupted
          ) return;
          // ECONNREFUSED and its like are about an earlier packet, not about this socket.
          this.#socketErrors++;
          await this.#clock.sleep(1);
        }
      }
    };
    const receiver = loop().finally(() => this.#receivers.delete(receiver));
    this.#receivers.add(receiver);
  }
}
