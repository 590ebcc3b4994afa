import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { createAuthority } from "../identity/certificate.ts";
import { newToken } from "../security/token_text.ts";
import { parseConfig } from "./config.ts";
import { createFile, PUBLIC_MODE, SECRET_MODE } from "./write_file.ts";

export interface InitOptions {
  readonly site: string;
  readonly dir: string;
  /** `HOST:PORT` for UDP and TCP; default 0.0.0.0:7420. Port 0 lets the system choose. */
  readonly link?: string;
  /** `HOST:PORT` of the API; default 127.0.0.1:7421. */
  readonly http?: string;
}

export interface InitResult {
  readonly fingerprint: string;
  readonly configPath: string;
  readonly certificatePath: string;
  readonly apiTokenPath: string;
}

/**
 * Makes a site: its identity, `causeway.json`, the public `site.crt` and the admin token.
 *
 * @throws {GatewayError} `site_exists` when any of the files is there, `config_invalid` for a name
 *   or address that cannot be used; in both cases nothing was written
 */
export async function initSite(options: InitOptions, wallMs = Date.now()): Promise<InitResult> {
  const settings = {
    site: options.site,
    http: options.http ?? "127.0.0.1:7421",
    link: options.link ?? "0.0.0.0:7420",
    apiTokenFile: "api-token",
    certificateFile: "site.crt",
    keyFile: "site.key",
    ledgerFile: "state/ledger.sqlite",
    stateDirectory: "state",
    peers: [],
    dataHosts: [],
  };
  const text = JSON.stringify(settings, null, 2) + "\n";
  const configPath = join(options.dir, "causeway.json");
  parseConfig(text, configPath);

  const certificatePath = join(options.dir, settings.certificateFile);
  const apiTokenPath = join(options.dir, settings.apiTokenFile);
  const keyPath = join(options.dir, settings.keyFile);
  for (const path of [configPath, certificatePath, keyPath, apiTokenPath]) {
    await refuseExisting(path, options.dir);
  }

  const authority = await createAuthority(options.site, wallMs);
  await Deno.mkdir(join(options.dir, settings.stateDirectory), { recursive: true, mode: 0o700 });
  await createFile(keyPath, authority.keyPem, SECRET_MODE);
  await createFile(certificatePath, authority.certificatePem, PUBLIC_MODE);
  await createFile(apiTokenPath, newToken() + "\n", SECRET_MODE);
  // Last, so that a configuration never names files that are missing.
  await createFile(configPath, text, PUBLIC_MODE);
  return { fingerprint: authority.fingerprint, configPath, certificatePath, apiTokenPath };
}

async function refuseExisting(path: string, dir: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new GatewayError("site_exists", `Cannot initialise ${dir}: ${path} exists`, {
    hint: "Give an empty directory; an identity is never overwritten",
  });
}
