import { GatewayError } from "../core/errors.ts";
import { parseProfile } from "./profile.ts";
import type { WanProfile } from "./settings.ts";

/** Far above any profile; a wrong path must not fill the memory. */
export const MAX_PROFILE_FILE_BYTES = 1024 * 1024;

const PROFILES_URL = new URL("../../wan-profiles/", import.meta.url);

/**
 * Loads a profile by its name in wan-profiles/, or from a file: what has a slash or ends in `.json`
 * is a path.
 *
 * @throws {GatewayError} `profile_not_found` with the known names, `profile_invalid`
 */
export async function loadProfile(nameOrPath: string): Promise<WanProfile> {
  const isPath = nameOrPath.includes("/") || nameOrPath.endsWith(".json");
  if (isPath) return await readProfile(nameOrPath, nameOrPath);
  // Only what the directory holds is opened, so a name cannot leave it.
  if (!(await profileNames()).includes(nameOrPath)) throw await notFound(nameOrPath);
  return await readProfile(new URL(`${nameOrPath}.json`, PROFILES_URL), nameOrPath);
}

/** Every profile of wan-profiles/, by name. */
export async function listProfiles(): Promise<WanProfile[]> {
  return await Promise.all((await profileNames()).map((name) => loadProfile(name)));
}

/** The names that `loadProfile` knows, sorted. */
export async function profileNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(PROFILES_URL)) {
    if (entry.name.endsWith(".json")) names.push(entry.name.slice(0, -".json".length));
  }
  return names.sort();
}

async function readProfile(path: string | URL, asked: string): Promise<WanProfile> {
  const fileName = path instanceof URL ? `wan-profiles/${asked}.json` : path;
  let text: string;
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile || size > MAX_PROFILE_FILE_BYTES) {
      throw new GatewayError(
        "profile_invalid",
        `Cannot use profile ${fileName}: ` +
          (isFile ? `${size} bytes, allowed: up to ${MAX_PROFILE_FILE_BYTES}` : "it is not a file"),
        { hint: "Give the path of a profile in the form of wan-profiles/*.json" },
      );
    }
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) throw await notFound(asked, cause);
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError(
      "profile_invalid",
      `Cannot read profile ${fileName}: ${cause instanceof Error ? cause.message : cause}`,
      { hint: "Check the path and its permissions", cause },
    );
  }
  return parseProfile(text, fileName);
}

async function notFound(asked: string, cause?: unknown): Promise<GatewayError> {
  const names = (await profileNames()).join(", ");
  return new GatewayError(
    "profile_not_found",
    `Cannot find profile ${asked}: the known names are ${names}`,
    { hint: "Give one of these names, or the path of a JSON file", cause },
  );
}
