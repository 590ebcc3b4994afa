import { GatewayError } from "../core/errors.ts";
import { readSiteCertificate, type SiteCertificate } from "../identity/site_certificate.ts";
import { type Config, loadConfig } from "./config.ts";

/** A peer that this site trusts, with an identity that it is pinned to. */
export interface TrustedPeer {
  /** The operator's name for it. */
  readonly name: string;
  /** `HOST:PORT`; null: accepted, never dialled. */
  readonly address: string | null;
  readonly certificate: SiteCertificate;
  /** The least generation of its link key that is good; any without it. */
  readonly keyGeneration?: number;
}

/**
 * The peers as the file names them now, one entry for each of their certificates: a peer that changes
 * from one to the next has several, of which the first counts where one has to be chosen. Read again at every dial and accept, so that `trust` takes
 * effect while the gateway runs.
 *
 * @throws {GatewayError} `config_invalid`, `certificate_invalid`
 */
export async function loadPeers(configPath: string): Promise<TrustedPeer[]> {
  return await resolvePeers(await loadConfig(configPath));
}

/**
 * A text that is another one after the configuration has been replaced or written, or another file
 * that goes with it. Costs one `stat`.
 *
 * @throws {GatewayError} `config_invalid` while there is no such file
 */
export async function fileVersion(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtime, ctime } = await Deno.stat(path);
    return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join(" ");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("config_invalid", `Cannot use configuration ${path}: ${reason}`, {
      hint: "Put the file back; until then the peers stay as they were",
      cause,
    });
  }
}

/** Reads the certificates that a configuration names. @throws as `loadPeers` */
export async function resolvePeers(config: Config): Promise<TrustedPeer[]> {
  const peers: TrustedPeer[] = [];
  for (const entry of config.peers) {
    const certificate = await readSiteCertificate(entry.certificate);
    if (entry.fingerprint !== undefined && entry.fingerprint !== certificate.fingerprint) {
      throw inconsistent(
        config,
        `peer ${entry.name} should have ${entry.fingerprint}, but ${entry.certificate} has ` +
          certificate.fingerprint,
      );
    }
    const others = await Promise.all(entry.alsoCertificates.map(readSiteCertificate));
    for (const each of [certificate, ...others]) {
      const twin = peers.find((peer) => peer.certificate.fingerprint === each.fingerprint);
      if (twin) throw inconsistent(config, `${twin.name} and ${entry.name} are the same site`);
      peers.push({ name: entry.name, address: entry.address, certificate: each });
    }
  }
  return peers;
}

/** The entries of the peer of this name, at least one. @throws {GatewayError} `peer_unknown` */
export function peersNamed(peers: readonly TrustedPeer[], name: string): TrustedPeer[] {
  const found = peers.filter((candidate) => candidate.name === name);
  if (found.length > 0) return found;
  const known = [...new Set(peers.map((candidate) => candidate.name))].join(", ") || "none";
  throw new GatewayError("peer_unknown", `Cannot reach peer ${name}: the known ones are ${known}`, {
    hint: "Add it with `causeway trust --peer NAME`",
  });
}

/** The first entry of the peer of this name. @throws {GatewayError} `peer_unknown` */
export function peerNamed(peers: readonly TrustedPeer[], name: string): TrustedPeer {
  return peersNamed(peers, name)[0];
}

function inconsistent(config: Config, reason: string): GatewayError {
  return new GatewayError("config_invalid", `Cannot use configuration ${config.path}: ${reason}`, {
    hint: "Remove the wrong entry of `peers`, then add the peer again with `causeway trust`",
  });
}
