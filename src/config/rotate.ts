import { basename, dirname, join, relative } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { createAuthority } from "../identity/certificate.ts";
import { linkKeyOf, makeLinkKey } from "../identity/link_key.ts";
import { parseSiteCertificate, type SiteCertificate } from "../identity/site_certificate.ts";
import { loadIdentity, readAuthorityKey } from "../identity/site_identity.ts";
import { loadConfig, parseConfig, readConfigText } from "./config.ts";
import { createFile, PUBLIC_MODE, replaceFile, SECRET_MODE } from "./write_file.ts";

/** Nine digits: what a name in a certificate has room for. */
const GENERATION_MAX = 999_999_999;

export interface RotateKeyOptions {
  readonly config: string;
  /** Where the authority's key is kept; default `keyFile` of the configuration. */
  readonly authorityKeyFile?: string;
  /** Default: the next one. */
  readonly generation?: number;
}

/**
 * Makes a new link key under the site's authority, in the place of the one before. A running gateway
 * takes it for new connections within a second or so; peers that have seen it refuse earlier ones.
 *
 * @throws {GatewayError} `certificate_invalid`, `config_invalid`, `request_invalid` for a generation
 *   that is not a later one
 */
export async function rotateLinkKey(
  { config: path, authorityKeyFile, generation }: RotateKeyOptions,
): Promise<{ fingerprint: string; generation: number; linkKeyPath: string }> {
  const config = await loadConfig(path);
  const keyFile = authorityKeyFile ?? config.keyFile;
  const { certificate } = await loadIdentity({ certificateFile: config.certificateFile, keyFile });
  const present = await presentGeneration(certificate, config.linkKeyFile).catch((error) => {
    // A file that is damaged says nothing; whoever names a generation knows which.
    if (generation !== undefined) return 0;
    throw error;
  });
  const next = generation ?? present + 1;
  if (!Number.isSafeInteger(next) || next <= present || next > GENERATION_MAX) {
    throw new GatewayError(
      "request_invalid",
      `Cannot make a link key of generation ${next}: the present one is ${present}`,
      { hint: `Give a generation of ${present + 1} to ${GENERATION_MAX}, or none` },
    );
  }
  const key = await readAuthorityKey(keyFile);
  await replaceFile(config.linkKeyFile, await makeLinkKey(certificate, key, next), SECRET_MODE);
  return {
    fingerprint: certificate.fingerprint,
    generation: next,
    linkKeyPath: config.linkKeyFile,
  };
}

export interface NewAuthority {
  readonly fingerprint: string;
  readonly certificatePath: string;
}

/**
 * Makes another authority for the site beside the one that it has, with a link key, and changes
 * nothing else: peers have to trust it first (`trust --add`), then `useAuthority` takes it into use.
 *
 * @throws {GatewayError} `config_invalid`
 */
export async function prepareAuthority(configPath: string, wallMs: number): Promise<NewAuthority> {
  const config = await loadConfig(configPath);
  const directory = dirname(config.path);
  for (let number = 2;; number++) {
    const files = filesOf(join(directory, `site-${number}.crt`));
    if (await exists(files.certificateFile) || await exists(files.keyFile)) continue;
    const authority = await createAuthority(config.site, wallMs);
    const certificate = await parseSiteCertificate(authority.certificatePem, "the new authority");
    await createFile(files.keyFile, authority.keyPem, SECRET_MODE);
    const key = await readAuthorityKey(files.keyFile);
    await createFile(files.linkKeyFile, await makeLinkKey(certificate, key, 1), SECRET_MODE);
    await createFile(files.certificateFile, authority.certificatePem, PUBLIC_MODE);
    return { fingerprint: authority.fingerprint, certificatePath: files.certificateFile };
  }
}

/**
 * Makes the site show another authority, in one step: the configuration names its files afterwards,
 * and the old ones stay. A running gateway takes it for new connections within a second or so.
 *
 * @param certificatePath as `prepareAuthority` gave it; the keys lie beside it
 * @throws {GatewayError} `certificate_invalid`, `config_invalid`
 */
export async function useAuthority(
  configPath: string,
  certificatePath: string,
): Promise<NewAuthority> {
  const config = await loadConfig(configPath);
  const files = filesOf(certificatePath);
  const { certificate } = await loadIdentity(files);
  const directory = dirname(config.path);
  const file = JSON.parse(await readConfigText(config.path)) as Record<string, unknown>;
  for (const [field, path] of Object.entries(files)) file[field] = relative(directory, path);
  const text = JSON.stringify(file, null, 2) + "\n";
  parseConfig(text, config.path);
  const { mode } = await Deno.stat(config.path);
  await replaceFile(config.path, text, mode === null ? PUBLIC_MODE : mode & 0o777);
  return { fingerprint: certificate.fingerprint, certificatePath };
}

/** The keys of an authority by the name of its certificate: `site-2.crt` has `site-2.key`. */
function filesOf(certificateFile: string) {
  const name = basename(certificateFile).replace(/\.crt$/, "");
  const directory = dirname(certificateFile);
  return {
    certificateFile,
    keyFile: join(directory, `${name}.key`),
    linkKeyFile: join(directory, name === "site" ? "link-key.pem" : `${name}-link-key.pem`),
  };
}

async function presentGeneration(authority: SiteCertificate, path: string): Promise<number> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
  return (await linkKeyOf(authority, text, path)).site.generation;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
