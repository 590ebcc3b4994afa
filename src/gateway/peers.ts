import type { Clock } from "../core/clock.ts";
import { type ErrorCode, GatewayError } from "../core/errors.ts";
import type { CarrierEndpoint } from "../link/carrier.ts";
import { CarrierChoice, type CarrierMode } from "../link/carrier_choice.ts";
import type { PeerLink } from "../link/peer_link.ts";
import { createSessionLink, type SessionLink } from "../link/session_link.ts";
import { tcpTuner } from "../link/tcp_tuning.ts";
import type { LinkRate } from "../migration/control/wishes.ts";
import { LinkCap } from "./link_cap.ts";
import { RefusalAudit } from "./refusal_audit.ts";
import type { PeerView } from "./service.ts";
import { carrierText, shownCarrier } from "./shown_carrier.ts";
import { shownPath } from "./shown_path.ts";

/** A peer as the site's configuration names it. */
export interface TrustedPeer {
  readonly name: string;
  readonly address: string | null;
  readonly fingerprint: string;
}

interface Entry {
  peer: TrustedPeer;
  /** False once the configuration names it no more, and for the peer of a move of the past. */
  isTrusted: boolean;
  readonly link: SessionLink;
  readonly choice: CarrierChoice;
  readonly cap: LinkCap;
  lastError: { code: ErrorCode; message: string; hint: string } | null;
}

/** Bounds of each link, as the site's configuration has them. */
export interface LinkLimits {
  /** Cap on everything that goes to one peer until `setRate`; null is none. */
  readonly linkBytesPerSecond: number | null;
  /** Frames that one peer has not applied yet. */
  readonly unacknowledgedBytesMax: number;
  /** How often UDP is tried again while it does not pass; default `UDP_RETRY_MS`. */
  readonly udpRetryMs?: number;
  /** See `CarrierJudge`. */
  readonly shortRoundTripMs?: number;
}

/** Where the configuration is not asked. */
const UDP_RETRY_MS = 60_000;

export interface PeerRegistryDeps {
  readonly clock: Clock;
  /** This gateway process, as peers tell its restarts by. */
  readonly incarnation: string;
  /** Reads the trusted peers anew: `trust` changes them while the gateway runs. */
  readonly readPeers: () => Promise<readonly TrustedPeer[]>;
  readonly onLink: (link: PeerLink) => void;
  readonly audit: (kind: string, body: Record<string, unknown>) => void;
  /** Default: no cap, and the protocol's own window. */
  readonly limits?: LinkLimits;
  /** What carries the links; default "auto". */
  readonly carrier?: CarrierMode;
  /** CPU time of this process so far, ms, by which carriers are compared. */
  readonly cpuMs?: () => number;
  readonly log?: (level: "info", message: string) => void;
}

/** One link for each trusted peer, dialled where an address is known and accepted from anywhere. */
export class PeerRegistry {
  readonly #entries = new Map<string, Entry>();
  readonly #deps: PeerRegistryDeps;
  readonly #endpoint: Promise<CarrierEndpoint>;
  #resolveEndpoint!: (endpoint: CarrierEndpoint) => void;
  /** One reading after the other: an older one must not undo what a newer one found. */
  #reading: Promise<void> = Promise.resolve();

  constructor(deps: PeerRegistryDeps) {
    this.#deps = deps;
    this.#endpoint = new Promise((resolve) => this.#resolveEndpoint = resolve);
  }

  /** Opens the site to its peers; until then links exist, so that moves can be restored, but wait. */
  connect(endpoint: CarrierEndpoint): void {
    endpoint.onAccept((carrier) => {
      void this.#accepted(carrier.peerName).then(
        (link) => link.attach(carrier),
        (error) => carrier.close(String(error)),
      );
    });
    const refusals = new RefusalAudit(this.#deps.clock, this.#deps.audit);
    endpoint.onRefusal((refusal) => refusals.add(refusal));
    this.#resolveEndpoint(endpoint);
  }

  /**
   * Takes over the peers as the configuration names them now: makes links for new ones, and dials
   * again at once where there is no connection. Connections to a peer that was removed, or whose
   * certificate is another one, end: they were proved by what is not trusted any more.
   *
   * @throws {GatewayError} as `readPeers`; the peers stay as they were
   */
  reload(): Promise<void> {
    const reading = this.#reading.then(() => this.#reload());
    this.#reading = reading.catch(() => {});
    return reading;
  }

  async #reload(): Promise<void> {
    const peers = await this.#deps.readPeers();
    const before = new Map([...this.#entries].map(([name, entry]) => [name, { ...entry }]));
    for (const entry of this.#entries.values()) entry.isTrusted = false;
    for (const peer of peers) {
      const known = this.#entries.get(peer.name);
      if (known) Object.assign(known, { peer, isTrusted: true });
      else this.#open(peer, true);
    }
    for (const [name, { peer, isTrusted, link }] of before) {
      const now = this.#entries.get(name)!;
      if (!isTrusted || (now.isTrusted && now.peer.fingerprint === peer.fingerprint)) continue;
      const { fingerprint } = peer;
      this.#deps.audit(now.isTrusted ? "peer_changed" : "peer_removed", {
        peer: name,
        fingerprint,
      });
      link.disconnect("the peer is not trusted any more by what it showed");
    }
    for (const { link } of this.#entries.values()) link.retry();
  }

  /**
   * The link to use now: whoever asks for it does not wait out earlier refusals.
   *
   * @throws {GatewayError} `peer_unknown`
   */
  async link(name: string): Promise<PeerLink> {
    if (!this.#entries.has(name)) await this.reload();
    const { link } = this.#get(name);
    link.retry();
    return link;
  }

  /** The same for a move of the past, whose peer may have been removed since: then nobody dials. */
  async linkOrOrphan(name: string): Promise<PeerLink> {
    if (!this.#entries.has(name)) await this.reload();
    if (!this.#entries.has(name)) this.#open({ name, address: null, fingerprint: "" }, false);
    return this.#get(name).link;
  }

  /** The link of a peer that is known already. */
  knownLink(name: string): PeerLink | null {
    return this.#entries.get(name)?.link ?? null;
  }

  /** Fingerprint of a peer's certificate; null for one that is not trusted any more. */
  fingerprint(name: string): string | null {
    return this.#entries.get(name)?.peer.fingerprint || null;
  }

  /** @throws {GatewayError} `peer_unknown` */
  async setRate(name: string, rate: LinkRate): Promise<void> {
    if (!this.#entries.has(name)) await this.reload();
    this.#get(name).cap.set(rate);
  }

  /** The cap of a link now, bytes per second; null is none. @throws {GatewayError} `peer_unknown` */
  rate(name: string): number | null {
    return this.#get(name).cap.bytesPerSecond;
  }

  views(): PeerView[] {
    const shown = [...this.#entries.values()].filter(({ isTrusted, link }) =>
      isTrusted || link.state === "up"
    );
    return shown.map(({ peer, link, choice, cap, lastError }) => ({
      name: peer.name,
      address: peer.address,
      fingerprint: peer.fingerprint,
      state: link.state,
      carrier: shownCarrier(choice.inUse),
      path: shownPath(link.path()),
      rate: cap.wished,
      rateBytesPerSecond: cap.bytesPerSecond,
      resentBytes: link.resentBytes,
      clockOffsetMs: link.clockOffsetMs,
      lastError: link.state === "up" ? null : lastError,
    }));
  }

  /** Why the last contact with a peer failed; null while it is up. */
  lastError(name: string): GatewayError | null {
    const entry = this.#entries.get(name);
    if (!entry || entry.link.state === "up" || !entry.lastError) return null;
    return new GatewayError(entry.lastError.code, entry.lastError.message, entry.lastError);
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#entries.values()].map(({ link, choice, cap }) => {
        cap.close();
        choice.close();
        return link.close();
      }),
    );
  }

  #get(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    const known = [...this.#entries.keys()].join(", ") || "none";
    throw new GatewayError("peer_unknown", `Cannot use peer ${name}: it is not trusted here`, {
      hint: `Add it with \`causeway trust --peer ${name} …\`; known: ${known}`,
    });
  }

  async #accepted(name: string): Promise<SessionLink> {
    if (!this.#entries.has(name)) await this.reload();
    return this.#get(name).link;
  }

  #open(peer: TrustedPeer, isTrusted: boolean): void {
    const { clock, incarnation, audit, limits } = this.#deps;
    const choice = this.#choose(peer.name);
    const link = createSessionLink({
      peerName: peer.name,
      clock,
      incarnation,
      limits: limits && { unacknowledgedBytesMax: limits.unacknowledgedBytesMax },
      dial: (signal) => choice.dial(signal),
    });
    choice.watch(link);
    const cap = new LinkCap(link, clock);
    cap.set(limits?.linkBytesPerSecond ?? null);
    const entry: Entry = { peer, isTrusted, link, choice, cap, lastError: null };
    link.onEvent((event) => {
      if (event.kind === "up") entry.lastError = null;
      if (event.kind !== "refused") return;
      const first = entry.lastError?.message !== event.message;
      entry.lastError = {
        code: event.code as ErrorCode,
        message: event.message,
        hint: event.hint,
      };
      if (first) audit("link_refused", { peer: peer.name, ...entry.lastError });
    });
    this.#entries.set(peer.name, entry);
    this.#deps.onLink(link);
  }

  #choose(peerName: string): CarrierChoice {
    const { clock, limits, carrier, cpuMs, log } = this.#deps;
    return new CarrierChoice({
      peerName,
      clock,
      mode: carrier ?? "auto",
      udpRetryMs: limits?.udpRetryMs ?? UDP_RETRY_MS,
      shortRoundTripMs: limits?.shortRoundTripMs,
      // The address is read at each dial: it may be added or changed later.
      dial: async (kind, signal) => (await this.#endpoint).dial(peerName, signal, kind),
      cpuMs: cpuMs ?? null,
      expectedControl: tcpTuner() === null ? null : "bbr",
      onChange: (change) => log?.("info", `link to ${peerName}: ${carrierText(change)}`),
    });
  }
}
