import { dirname, resolve } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { jsonErrorOffset, lineAndColumn } from "../core/json_position.ts";
import { nameList, problemList } from "../core/problem_list.ts";
import { type ConfigFile, configFile } from "./schema.ts";

/** Far above any configuration; a wrong path must not fill the memory. */
export const CONFIG_FILE_BYTES_MAX = 1024 * 1024;

/** A site's configuration; every path in it is absolute. */
export interface Config extends ConfigFile {
  /** The file itself. */
  readonly path: string;
}

/**
 * Reads causeway.json. Relative paths become absolute, from the directory of the file.
 *
 * @throws {GatewayError} `config_invalid`, naming file, line or field, and what is allowed
 */
export async function loadConfig(path: string): Promise<Config> {
  const absolute = resolve(path);
  return resolvePaths(parseConfig(await readConfigText(absolute), path), absolute);
}

/** Checks the text of a configuration. @throws {GatewayError} `config_invalid` */
export function parseConfig(text: string, fileName: string): ConfigFile {
  const offset = jsonErrorOffset(text);
  if (offset !== null) {
    const { line, column } = lineAndColumn(text, offset);
    throw invalid(fileName, `it is not JSON at line ${line}, column ${column}`);
  }
  const result = configFile.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const field = fieldName(issue.path);
    if (issue.code === "unrecognized_keys") {
      const known = issue.path.length === 0
        ? `, allowed: ${Object.keys(configFile.shape).join(", ")}`
        : "";
      return `${field || "the file"} has unknown fields ${nameList(issue.keys)}${known}`;
    }
    const allowed = issue.code === "custom" || issue.code === "invalid_format"
      ? `allowed: ${issue.message}`
      : issue.message;
    return `${field || "the file"}: ${allowed}`;
  });
  throw invalid(fileName, problemList(problems));
}

/** The file's text, bounded. @throws {GatewayError} `config_invalid` */
export async function readConfigText(path: string): Promise<string> {
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new Error("it is not a file");
    if (size > CONFIG_FILE_BYTES_MAX) {
      throw new Error(`it has ${size} bytes, allowed: up to ${CONFIG_FILE_BYTES_MAX}`);
    }
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function resolvePaths(file: ConfigFile, path: string): Config {
  const directory = dirname(path);
  return {
    ...file,
    path,
    apiTokenFile: resolve(directory, file.apiTokenFile),
    certificateFile: resolve(directory, file.certificateFile),
    keyFile: resolve(directory, file.keyFile),
    linkKeyFile: resolve(directory, file.linkKeyFile),
    ledgerFile: resolve(directory, file.ledgerFile),
    stateDirectory: resolve(directory, file.stateDirectory),
    sharedImages: file.sharedImages.map((image) => resolve(directory, image)),
    nameServers: Object.fromEntries(
      Object.entries(file.nameServers).map(([name, server]) => [
        name,
        { ...server, keyFile: resolve(directory, server.keyFile) },
      ]),
    ),
    allow: {
      ...file.allow,
      paths: file.allow.paths?.map((folder) => resolve(directory, folder)) ?? null,
    },
    peers: file.peers.map((peer) => ({
      ...peer,
      certificate: resolve(directory, peer.certificate),
      alsoCertificates: peer.alsoCertificates.map((path) => resolve(directory, path)),
    })),
  };
}

function fieldName(path: readonly PropertyKey[]): string {
  return path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("")
    .replace(/^\./, "");
}

function invalid(fileName: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError("config_invalid", `Cannot use configuration ${fileName}: ${reason}`, {
    hint: "Correct the file, or make a new one with `causeway init --site NAME --dir DIR`",
    cause,
  });
}
