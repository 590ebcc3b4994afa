import { GatewayError } from "../core/errors.ts";
import { globMatches } from "./globs.ts";
import { type LaunchTemplate, matchTemplate } from "./launch_template.ts";

/** `allow` of the configuration: what a machine may name. Null: anything that an admin gives. */
export interface AllowRules {
  /** Folders that images have to lie in, absolute. */
  readonly paths: readonly string[] | null;
  /** Globs of monitor sockets: absolute paths, or `tcp:HOST:PORT`. */
  readonly sockets: readonly string[] | null;
  /** Commands that may be run, and `reference` for the embedded machine. */
  readonly launch: readonly (LaunchTemplate | "reference")[] | null;
}

export const ALLOW_ALL: AllowRules = { paths: null, sockets: null, launch: null };

/** Commands that a machine's addresses follow it by. */
interface NamedHooks {
  readonly redirect?: {
    readonly means: readonly { readonly kind: string; readonly command?: readonly string[] }[];
  };
}

/** The parts of a machine's definition that name something of this host. */
export type NamedByDefinition = NamedHooks & Named;
type Named =
  | { readonly kind: "qemu"; readonly qmp: string }
  | {
    readonly kind: "qemu";
    readonly launch: {
      readonly argv: readonly string[];
      readonly disks: readonly { readonly path: string }[];
    };
  }
  | { readonly kind: "reference" };

/** Where a path leads to: links followed as far as it exists, the rest as it is. */
export type RealPath = (path: string) => Promise<string>;

/**
 * Refuses a machine that names what the configuration does not allow. Paths are judged twice, as they
 * are written and where they lead to, so that neither `..` nor a link leads out.
 *
 * @throws {GatewayError} `guest_not_allowed`, before anything is opened, connected or run
 */
export async function requireAllowed(
  definition: NamedByDefinition,
  rules: AllowRules,
  realPath: RealPath,
): Promise<void> {
  if (rules.launch !== null) {
    for (const { command } of definition.redirect?.means ?? []) {
      // A hook is a command like one that starts a machine: what may be run is listed there.
      for (const path of command ? pathsOfCommand(command, rules.launch) : []) {
        await requirePath(path, rules, realPath);
      }
    }
  }
  if ("qmp" in definition) return await requireSocket(definition.qmp, rules, realPath);
  if (!("launch" in definition)) {
    if (rules.launch === null || rules.launch.includes("reference")) return;
    throw notAllowed("the embedded reference machine", "launch");
  }
  const { argv, disks } = definition.launch;
  const named = disks.map(({ path }) => path);
  if (rules.launch !== null) named.push(...pathsOfCommand(argv, rules.launch));
  for (const path of named) await requirePath(path, rules, realPath);
}

/**
 * Whether a path leads into an allowed folder.
 *
 * @throws {GatewayError} `guest_not_allowed`
 */
export async function requirePath(
  path: string,
  { paths }: Pick<AllowRules, "paths">,
  realPath: RealPath,
): Promise<void> {
  if (paths === null) return;
  if (isPlainPath(path)) {
    const real = await realPath(path);
    for (const folder of paths) {
      if (isWithin(path, folder) && isWithin(real, await realPath(folder))) return;
    }
  }
  throw notAllowed(`path ${path}`, "paths");
}

async function requireSocket(
  qmp: string,
  { sockets }: AllowRules,
  realPath: RealPath,
): Promise<void> {
  if (sockets === null) return;
  if (qmp.startsWith("tcp:")) {
    if (sockets.some((pattern) => pattern.startsWith("tcp:") && globMatches(pattern, qmp))) return;
    throw notAllowed(`monitor ${qmp}`, "sockets");
  }
  if (isPlainPath(qmp)) {
    const real = await realPath(qmp);
    for (const pattern of sockets) {
      if (!globMatches(pattern, qmp)) continue;
      if (globMatches(pattern, real) || globMatches(await realPattern(pattern, realPath), real)) {
        return;
      }
    }
  }
  throw notAllowed(`monitor ${qmp}`, "sockets");
}

/** The folders before the first wildcard may be links themselves. */
async function realPattern(pattern: string, realPath: RealPath): Promise<string> {
  const wildcard = pattern.search(/[*?]/);
  const end = pattern.lastIndexOf("/", wildcard < 0 ? undefined : wildcard);
  const folder = pattern.slice(0, end);
  return folder === "" ? pattern : await realPath(folder) + pattern.slice(end);
}

function pathsOfCommand(argv: readonly string[], launch: NonNullable<AllowRules["launch"]>) {
  for (const template of launch) {
    const paths = template === "reference" ? null : matchTemplate(template, argv);
    if (paths !== null) return paths;
  }
  throw notAllowed(`command ${argv[0]} with these arguments`, "launch");
}

/** Absolute, and without parts that mean another place than they say. */
function isPlainPath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") &&
    !path.split("/").some((part) => part === "." || part === "..");
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function notAllowed(what: string, field: keyof AllowRules): GatewayError {
  return new GatewayError(
    "guest_not_allowed",
    `Cannot use ${what}: allow.${field} of this site's configuration does not list it`,
    { hint: `Use what is listed, or have the site's operator add it to allow.${field}` },
  );
}
