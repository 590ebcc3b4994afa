import { dirname, join, relative, resolve } from "node:path";
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
import { resolvePeers, type TrustedPeer } from "./peers.ts";
import { PUBLIC_MODE, replaceFile } from "./write_file.ts";

/** What `trust` was asked: a certificate file, or a fingerprint and where to fetch what it names. */
export type TrustOptions =
  & {
    readonly config: string;
    readonly peer: string;
    /**
     * While a peer changes its certificate: `add` trusts another one beside what it has, `replace`
     * leaves one of them as the only one.
     */
    readonly change?: "add" | "replace";
  }
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

/** A peer as the file has it, with whatever else stands there. */
interface PeerInFile {
  readonly name: string;
  readonly certificate: string;
  readonly alsoCertificates?: readonly string[];
  readonly address?: string | null;
  readonly fingerprint?: string;
}

/**
 * Adds a peer to the configuration, or changes the address or the certificates of one that is there.
 * A running gateway takes it over within a second or so.
 *
 * @throws {GatewayError} `config_invalid`, `certificate_invalid`, `peer_exists` when the name stands
 *   for another identity, `peer_unknown` when certificates of none are to be changed,
 *   `peer_not_trusted` when the fetched certificate is another one, `peer_unreachable`
 */
export async function trustPeer(options: TrustOptions): Promise<TrustResult> {
  const { peer: name, change } = options;
  const config = await loadConfig(options.config);
  const certificate = options.certificate === undefined
    ? await fetchMatching(options.address, options.fingerprint)
    : await readSiteCertificate(options.certificate);
  const entries = await resolvePeers(config);
  await checkOther(config, entries, name, certificate);
  const own = entries.filter((entry) => entry.name === name);
  const isHeld = own.some((entry) => entry.certificate.fingerprint === certificate.fingerprint);
  checkChange(config, name, certificate, { change, isKnown: own.length > 0, isHeld });

  const directory = dirname(config.path);
  const file = JSON.parse(await readConfigText(config.path)) as { peers?: PeerInFile[] };
  const peers = file.peers ?? [];
  const known = peers.find((peer) => peer.name === name);
  const address = options.address ?? known?.address ?? null;
  const isSecond = change === "add" && !isHeld;
  const fileName = isSecond ? `${name}-${certificate.fingerprint.slice(7, 15)}.crt` : `${name}.crt`;
  const held = await fileOf(certificate, known, directory);
  const certificatePath = held ?? join(directory, "peers", fileName);
  const path = relative(directory, certificatePath);
  const only = { name, certificate: path, address, fingerprint: certificate.fingerprint };
  const entry = known === undefined || change === "replace"
    ? only
    : isSecond
    ? { ...known, address, alsoCertificates: [...known.alsoCertificates ?? [], path] }
    : { ...known, address };
  file.peers = known ? peers.map((peer) => peer === known ? entry : peer) : [...peers, entry];
  const next = JSON.stringify(file, null, 2) + "\n";
  // Name and address are checked here, before anything is written.
  parseConfig(next, config.path);

  if (held === null) {
    await Deno.mkdir(dirname(certificatePath), { recursive: true });
    await replaceFile(certificatePath, certificate.pem, PUBLIC_MODE);
  }
  const { mode } = await Deno.stat(config.path);
  await replaceFile(config.path, next, mode === null ? PUBLIC_MODE : mode & 0o777);
  return { peer: name, fingerprint: certificate.fingerprint, address, certificatePath };
}

/** Where the peer's certificates that are trusted already have this one; null where none does. */
async function fileOf(
  { fingerprint }: SiteCertificate,
  known: PeerInFile | undefined,
  directory: string,
): Promise<string | null> {
  if (known === undefined) return null;
  for (const name of [known.certificate, ...known.alsoCertificates ?? []]) {
    const path = resolve(directory, name);
    if ((await readSiteCertificate(path)).fingerprint === fingerprint) return path;
  }
  return null;
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

/** Refuses this site itself, and an identity that another name stands for. */
async function checkOther(
  config: Config,
  entries: readonly TrustedPeer[],
  name: string,
  { fingerprint }: SiteCertificate,
): Promise<void> {
  const own = await readSiteCertificate(config.certificateFile);
  if (own.fingerprint === fingerprint) {
    throw new GatewayError("peer_exists", `Cannot trust ${name}: it is this site itself`, {
      hint: "Give the site.crt of the other site",
    });
  }
  const other = entries.find((entry) =>
    entry.name !== name && entry.certificate.fingerprint === fingerprint
  );
  if (!other) return;
  throw new GatewayError(
    "peer_exists",
    `Cannot trust ${name}: this identity is trusted under the name ${other.name} already`,
    { hint: `Remove the entry ${other.name} from ${config.path} first if that is meant` },
  );
}

function checkChange(
  config: Config,
  name: string,
  { fingerprint }: SiteCertificate,
  { change, isKnown, isHeld }: {
    readonly change: TrustOptions["change"];
    readonly isKnown: boolean;
    readonly isHeld: boolean;
  },
): void {
  if (change === undefined) {
    if (!isKnown || isHeld) return;
    throw new GatewayError(
      "peer_exists",
      `Cannot trust ${name}: the name stands for another identity than ${fingerprint} already`,
      {
        hint: `Use --add while that site changes its certificate, or remove the entry ${name} ` +
          `from ${config.path} first if it is another site`,
      },
    );
  }
  if (!isKnown) {
    throw new GatewayError("peer_unknown", `Cannot change the certificates of ${name}: no peer`, {
      hint: "Trust it without --add and --replace first",
    });
  }
  if (change === "add" || isHeld) return;
  throw new GatewayError(
    "peer_exists",
    `Cannot replace what ${name} is trusted by: ${fingerprint} is not one of its certificates`,
    { hint: "Trust it with --add first, and use --replace when that site shows the new one" },
  );
}
