import { basename, dirname, join, resolve } from "node:path";
import type { AcceptRules } from "../security/accept_rules.ts";
import {
  ALLOW_ALL,
  type AllowRules,
  requireAllowed,
  requirePath,
} from "../security/allow_rules.ts";
import type { AttachGuest } from "./guests.ts";

/** As Linux follows them. */
const LINKS_MAX = 40;

/** `allow` and `accept` of the site's configuration. */
export interface SiteRules {
  readonly allow: AllowRules;
  readonly accept: AcceptRules;
}

export const NO_RULES: SiteRules = { allow: ALLOW_ALL, accept: { peers: {} } };

/**
 * Attaches to what the rules of this moment allow. A machine that is only found again, after a
 * restart of the gateway or of its monitor, was allowed when it came: it is not given up because the
 * rules have changed since, but it is not started again either.
 */
export function attachAllowed(attach: AttachGuest, rules: () => SiteRules): AttachGuest {
  return async (request) => {
    if (request.launch) await requireAllowed(request.definition, rules().allow, realPath);
    return await attach(request);
  };
}

/**
 * Whether an image may lie there: in an allowed folder, or where the gateway itself puts them.
 *
 * @throws {GatewayError} `guest_not_allowed`
 */
export async function requireImagePath(
  path: string,
  { paths }: AllowRules,
  stateDirectory: string,
): Promise<void> {
  await requirePath(path, { paths: paths && [...paths, stateDirectory] }, realPath);
}

/**
 * The place that a path leads to, links followed as far as there is something: a link to what does
 * not exist yet leads there all the same, because whoever makes a file follows it.
 */
export async function realPath(path: string, linksLeft = LINKS_MAX): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const folder = dirname(path);
  if (folder === path) return path;
  const real = await realPath(folder, linksLeft);
  const target = await Deno.readLink(path).catch(() => null);
  if (target === null || linksLeft === 0) return join(real, basename(path));
  return await realPath(resolve(real, target), linksLeft - 1);
}
