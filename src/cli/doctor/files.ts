import type { Config } from "../../config/config.ts";
import { loadIdentity } from "../../identity/site_identity.ts";
import { fail, failedBy, type Finding, ok, warn } from "./finding.ts";

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const MOVED_AWAY = "Restore it, or name its new place with --token-file where it was moved away";

/** Whether secrets are readable by their owner only, and what decides is writable by nobody else. */
export async function checkFiles(config: Config): Promise<Finding[]> {
  // With a link key the authority's own may be kept elsewhere.
  const hasLinkKey = await isThere(config.linkKeyFile);
  return [
    ...hasLinkKey ? [await secret("link key", config.linkKeyFile)] : [],
    ...!hasLinkKey || await isThere(config.keyFile) ? [await secret("key", config.keyFile)] : [],
    await isThere(config.apiTokenFile)
      ? await secret("API token", config.apiTokenFile)
      : warn("permissions of the API token", `${config.apiTokenFile} is not there`, MOVED_AWAY),
    ...await Promise.all(
      Object.entries(config.nameServers).map(([name, { keyFile }]) =>
        secret(`key of name server ${name}`, keyFile)
      ),
    ),
    await identity(config),
    await guarded("configuration", config.path, "fail"),
    await guarded("state directory", config.stateDirectory, "warn"),
  ];
}

async function identity(config: Config): Promise<Finding> {
  try {
    const { certificate } = await loadIdentity(config);
    return ok("identity", `${certificate.site}, ${certificate.fingerprint}`);
  } catch (error) {
    return failedBy("identity", error);
  }
}

async function secret(name: string, path: string): Promise<Finding> {
  const check = `permissions of the ${name}`;
  const mode = await modeOf(path);
  if (mode === null) {
    return fail(check, `${path} cannot be read`, "Restore it, or run this as the gateway's user");
  }
  if ((mode & OTHERS) === 0) return ok(check, `${path} is 0${mode.toString(8)}`);
  return fail(
    check,
    `${path} is 0${mode.toString(8)}: others can read it`,
    `chmod 600 ${path}; if others may have read it, make a new one`,
  );
}

/** What others could change: they would decide whom the site trusts, or what it remembers. */
async function guarded(name: string, path: string, verdict: "warn" | "fail"): Promise<Finding> {
  const check = `permissions of the ${name}`;
  const mode = await modeOf(path);
  if (mode === null) {
    return verdict === "fail"
      ? fail(check, `${path} cannot be read`, "Restore it, or run this as the gateway's user")
      : warn(check, `${path} is not there`, "The gateway makes it at its first start");
  }
  const wrong = name === "state directory" ? OTHERS : OTHERS_WRITE;
  if ((mode & wrong) === 0) return ok(check, `${path} is 0${mode.toString(8)}`);
  const others = name === "state directory" ? "others can look into it" : "others can change it";
  const hint = name === "state directory" ? `chmod 700 ${path}` : `chmod go-w ${path}`;
  return { check, verdict, seen: `${path} is 0${mode.toString(8)}: ${others}`, hint };
}

/** False only where it is known not to be there. */
async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(
    () => true,
    (error) => !(error instanceof Deno.errors.NotFound),
  );
}

async function modeOf(path: string): Promise<number | null> {
  const mode = await Deno.stat(path).then((stat) => stat.mode, () => null);
  return mode === null ? null : mode & 0o777;
}
