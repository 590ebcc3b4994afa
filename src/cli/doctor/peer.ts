import { parseHostPort } from "../../config/address.ts";
import type { Config } from "../../config/config.ts";
import { loadPeers, peersNamed, type TrustedPeer } from "../../config/peers.ts";
import type { Clock } from "../../core/clock.ts";
import { toGatewayError } from "../../core/errors.ts";
import type { PeerView } from "../../gateway/service.ts";
import { fingerprint } from "../../identity/fingerprint.ts";
import { openEndpoint } from "../../link/endpoint.ts";
import { fetchCertificateChain } from "../../link/tls_fetch.ts";
import { formatDuration } from "../format.ts";
import { fail, failedBy, type Finding, ok, warn } from "./finding.ts";

/** Seconds show in logs and windows; a minute is no drift but a clock that nobody keeps. */
const OFFSET_WARN_MS = 1_000;
const OFFSET_FAIL_MS = 60_000;
const SILENT_MS_MAX = 3_000;
const LOOK_MS = 5_000;

/**
 * Checks the ways to the peers and the trust of both sides in each other.
 *
 * @param views what the running gateway says of them; null where none runs, then this dials itself
 * @param only the one peer to look at
 */
export async function checkPeers(
  config: Config,
  clock: Clock,
  views: readonly PeerView[] | null,
  only: string | null,
): Promise<Finding[]> {
  let peers: TrustedPeer[];
  try {
    peers = await loadPeers(config.path);
    if (only !== null) peers = peersNamed(peers, only);
  } catch (error) {
    return [failedBy("peers", error)];
  }
  if (peers.length === 0) {
    return [warn("peers", "none is trusted", "Add one with `causeway trust` at both sites")];
  }
  const names = [...new Set(peers.map(({ name }) => name))];
  const each = await Promise.all(names.map(async (name) => {
    // One for each certificate: while a peer changes from one to the next it is trusted by both.
    const entries = peersNamed(peers, name);
    const [peer] = entries;
    const view = views?.find(({ name }) => name === peer.name) ?? null;
    const path = views === null ? [await dialled(config, clock, peer)] : judgePeer(peer.name, view);
    return [...path, ...await tcpPath(peer, entries)];
  }));
  return each.flat();
}

/** What the gateway's own link says: a connection stands only after both sides proved themselves. */
export function judgePeer(name: string, view: PeerView | null): Finding[] {
  const link = `peer ${name}: link (UDP) and trust`;
  if (view === null) {
    return [fail(link, "the running gateway does not know it", "Wait a second, or restart it")];
  }
  if (view.state === "down") {
    if (view.lastError) return [fail(link, view.lastError.message, view.lastError.hint)];
    return [
      view.address === null
        ? fail(
          link,
          "it has not called, and no address is known",
          `Start its gateway, or give its address with \`causeway trust --peer ${name} --address HOST:PORT\``,
        )
        : fail(
          link,
          `${view.address} does not answer`,
          "Check that its gateway runs and that UDP passes both ways, then its `causeway doctor`",
        ),
    ];
  }
  const { silentMs, roundTripMs, lossRatio } = view.path;
  if ((silentMs ?? 0) > SILENT_MS_MAX) {
    return [
      warn(
        link,
        `up, and silent for ${formatDuration(silentMs!)}`,
        "Wait: an outage, or a new path",
      ),
    ];
  }
  const figures = [
    roundTripMs === null ? "" : `, round trip ${formatDuration(roundTripMs)}`,
    lossRatio === null ? "" : `, ${(lossRatio * 100).toFixed(1)} % lost`,
  ];
  return [ok(link, `up${figures.join("")}; each proved itself to the other`), clockOf(view)];
}

function clockOf({ name, clockOffsetMs }: PeerView): Finding {
  const check = `peer ${name}: clock`;
  if (clockOffsetMs === null) {
    return warn(check, "it has not told its time", "Wait ten seconds, or update its gateway");
  }
  const size = Math.abs(clockOffsetMs);
  const seen = `${formatDuration(size)} ${clockOffsetMs < 0 ? "behind" : "ahead of"} this site's`;
  if (size < OFFSET_WARN_MS) return ok(check, seen);
  const hint = "Let NTP keep both clocks (timedatectl); windows and logs go by them";
  return size < OFFSET_FAIL_MS ? warn(check, seen, hint) : fail(check, seen, hint);
}

/** Makes a connection as the gateway would. Only where none runs: the peer takes it for a restart. */
async function dialled(config: Config, clock: Clock, peer: TrustedPeer): Promise<Finding> {
  const check = `peer ${peer.name}: link (UDP) and trust`;
  if (peer.address === null) {
    return warn(check, "it is never dialled", "Start the gateway and wait for its call");
  }
  try {
    const endpoint = await openEndpoint({
      config: { ...config, link: "0.0.0.0:0" },
      incarnation: crypto.randomUUID(),
      clock,
      audit: () => {},
    });
    try {
      const carrier = await endpoint.dial(peer.name, AbortSignal.timeout(LOOK_MS));
      await carrier.close("the doctor has seen enough");
      return ok(check, `${peer.address} answers; each proved itself to the other`);
    } finally {
      await endpoint.close();
    }
  } catch (error) {
    if (error instanceof DOMException) {
      return fail(
        check,
        `${peer.address} does not answer within ${formatDuration(LOOK_MS)}`,
        "Check that its gateway runs and that UDP passes both ways",
      );
    }
    return failedBy(check, error);
  }
}

/** TCP is a second way: `trust --fingerprint` needs it, a link over UDP does not. */
async function tcpPath(peer: TrustedPeer, entries: readonly TrustedPeer[]): Promise<Finding[]> {
  const check = `peer ${peer.name}: TCP`;
  const address = peer.address === null ? null : parseHostPort(peer.address);
  if (address === null) return [];
  try {
    const chain = await fetchCertificateChain(address, LOOK_MS);
    const shown = new Set(chain.map(fingerprint));
    if (entries.some(({ certificate }) => shown.has(certificate.fingerprint))) {
      return [ok(check, `${peer.address} shows the trusted certificate`)];
    }
    return [
      fail(
        check,
        `${peer.address} shows another certificate than the trusted one`,
        "Check the address; if the site has a new identity, trust its new site.crt",
      ),
    ];
  } catch (error) {
    return [
      warn(check, toGatewayError(error).message, "Let TCP to the link address pass as well as UDP"),
    ];
  }
}
