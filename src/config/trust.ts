import { dirname, join, relative } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { fingerprint, FINGERPRINT_PATTERN } from "../identity/fingerprint.ts";
import {
  parseSiteCertificate,
  readSiteCertificate,
  type SiteCertificate,
} from "../identity/site_certificate.ts";
import { fetchCertificateChain } from "../link/tls_fetch.ts";
import { parseHostPort } from "./address.ts";
import { type Config, loadConfig, parseConfig, readConfigText } from "./config.ts";
import { resolvePeers } from "./peers.ts";
import { PUBLIC_MODE, replaceFile } from "./write_file.ts";

/** What `trust` was asked: a certificate file, or a fingerprint and where to fetch what it names. */
export type TrustOptions =
  & { readonly config: string; readonly peer: string }
  & (
    | { readonly certificate: string; readonly address?: string; readonly fingerprint?: undefined }
    | {
      readonly fingerprint: string;
      readonly address: string;
      readonly certificate?: undefined;
    }
  );

export interface TrustResult {
  readonly peer: string;
  readonly fingerprint: string;
  readonly address: string | null;
  readonly certificatePath: string;
}

/**
 * Adds a peer to the configuration, or changes the address of one that is there. A running gateway
 * takes it over within a second or so.
 *
 * @throws {GatewayError} `config_invalid`, `certificate_invalid`, `peer_exists` when the name stands
 *   for another identity, `peer_not_trusted` when the fetched certificate is another one,
 *   `peer_unreachable`
 */
export async function trustPeer(options: TrustOptions): Promise<TrustResult> {
  const config = await loadConfig(options.config);
  const certificate = options.certificate === undefined
    ? await fetchMatching(options.address, options.fingerprint)
    : await readSiteCertificate(options.certificate);
  await checkNew(config, options.peer, certificate);

  const directory = dirname(config.path);
  const certificatePath = join(directory, "peers", `${options.peer}.crt`);
  const text = await readConfigText(config.path);
  const file = JSON.parse(text) as { peers?: { name: string; address?: string | null }[] };
  const peers = file.peers ?? [];
  const known = peers.find((peer) => peer.name === options.peer);
  const address = options.address ?? known?.address ?? null;
  const entry = {
    name: options.peer,
    certificate: relative(directory, certificatePath),
    address,
    fingerprint: certificate.fingerprint,
  };
  file.peers = known ? peers.map((peer) => peer === known ? entry : peer) : [...peers, entry];
  const next = JSON.stringify(file, null, 2) + "\n";
  // Name and address are checked here, before anything is written.
  parseConfig(next, config.path);

  await Deno.mkdir(dirname(certificatePath), { recursive: true });
  await replaceFile(certificatePath, certificate.pem, PUBLIC_MODE);
  const { mode } = await Deno.stat(config.path);
  await replaceFile(config.path, next, mode === null ? PUBLIC_MODE : mode & 0o777);
  return { peer: options.peer, fingerprint: certificate.fingerprint, address, certificatePath };
}

async function fetchMatching(address: string, expected: string): Promise<SiteCertificate> {
  const target = parseHostPort(address);
  if (!target || target.port === 0) {
    throw new GatewayError(
      "config_invalid",
      `Cannot fetch a certificate from ${address}: allowed: HOST:PORT or [IPV6]:PORT`,
      { hint: "Give the peer's link address" },
    );
  }
  if (!FINGERPRINT_PATTERN.test(expected)) {
    throw new GatewayError(
      "config_invalid",
      `Cannot use fingerprint ${expected}: allowed: sha256: and 64 hex digits`,
      { hint: "Give the fingerprint that `causeway init` printed at that site" },
    );
  }
  const chain = await fetchCertificateChain(target);
  const match = chain.find((der) => fingerprint(der) === expected);
  if (match) return await parseSiteCertificate(match, address);
  throw new GatewayError(
    "peer_not_trusted",
    `Cannot trust ${address}: it shows ${chain.map(fingerprint).join(", ")}, not ${expected}`,
    { hint: "Compare the fingerprint with what `causeway init` printed at that site" },
  );
}

async function checkNew(
  config: Config,
  name: string,
  certificate: SiteCertificate,
): Promise<void> {
  const own = await readSiteCertificate(config.certificateFile);
  if (own.fingerprint === certificate.fingerprint) {
    throw new GatewayError("peer_exists", `Cannot trust ${name}: it is this site itself`, {
      hint: "Give the site.crt of the other site",
    });
  }
  for (const peer of await resolvePeers(config)) {
    const sameName = peer.name === name;
    const sameSite = peer.certificate.fingerprint === certificate.fingerprint;
    if (sameName === sameSite) continue;
    throw new GatewayError(
      "peer_exists",
      sameName
        ? `Cannot trust ${name}: the name stands for ${peer.certificate.fingerprint} already`
        : `Cannot trust ${name}: this identity is trusted under the name ${peer.name} already`,
      { hint: `Remove the entry ${peer.name} from ${config.path} first if that is meant` },
    );
  }
}
