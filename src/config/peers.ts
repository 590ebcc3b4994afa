import { GatewayError } from "../core/errors.ts";
import { readSiteCertificate, type SiteCertificate } from "../identity/site_certificate.ts";
import { type Config, loadConfig } from "./config.ts";

/** A peer that this site trusts, with the identity it is pinned to. */
export interface TrustedPeer {
  /** The operator's name for it. */
  readonly name: string;
  /** `HOST:PORT`; null: accepted, never dialled. */
  readonly address: string | null;
  readonly certificate: SiteCertificate;
}

/**
 * The peers as the file names them now. Read again at every dial and accept, so that `trust` takes
 * effect while the gateway runs.
 *
 * @throws {GatewayError} `config_invalid`, `certificate_invalid`
 */
export async function loadPeers(configPath: string): Promise<TrustedPeer[]> {
  return await resolvePeers(await loadConfig(configPath));
}

/**
 * A text that is another one after the file has been replaced or written. Costs one `stat`.
 *
 * @throws {GatewayError} `config_invalid` while there is no such file
 */
export async function peersVersion(configPath: string): Promise<string> {
  try {
    const { dev, ino, size, mtime, ctime } = await Deno.stat(configPath);
    return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join(" ");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("config_invalid", `Cannot use configuration ${configPath}: ${reason}`, {
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
    const twin = peers.find((peer) => peer.certificate.fingerprint === certificate.fingerprint);
    if (twin) throw inconsistent(config, `${twin.name} and ${entry.name} are the same site`);
    peers.push({ name: entry.name, address: entry.address, certificate });
  }
  return peers;
}

/** The peer of this name. @throws {GatewayError} `peer_unknown` */
export function peerNamed(peers: readonly TrustedPeer[], name: string): TrustedPeer {
  const peer = peers.find((candidate) => candidate.name === name);
  if (peer) return peer;
  const known = peers.map((candidate) => candidate.name).join(", ") || "none";
  throw new GatewayError("peer_unknown", `Cannot reach peer ${name}: the known ones are ${known}`, {
    hint: "Add it with `causeway trust --peer NAME`",
  });
}

function inconsistent(config: Config, reason: string): GatewayError {
  return new GatewayError("config_invalid", `Cannot use configuration ${config.path}: ${reason}`, {
    hint: "Remove the wrong entry of `peers`, then add the peer again with `causeway trust`",
  });
}
