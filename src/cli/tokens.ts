import { createFile, SECRET_MODE } from "../config/write_file.ts";
import { GatewayError } from "../core/errors.ts";
import type { TokenView } from "../security/token_registry.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { parseDuration } from "./duration_text.ts";
import { table } from "./format.ts";

/** Options of `causeway tokens create`. */
export interface TokenArguments {
  readonly name: string;
  readonly role: string;
  readonly expires?: string;
  readonly out?: string;
}

/** `causeway tokens`: who may use the API. */
export function listTokens(cli: Cli): Promise<number> {
  return withClient(cli, async (client) => {
    const tokens = await client.get<TokenView[]>("/v1/tokens");
    answer(cli, tokens, () =>
      table(
        ["ID", "NAME", "ROLE", "STATE", "MADE", "BY", "EXPIRES", "LAST USED"],
        tokens.map((token) => [
          token.id,
          token.name,
          token.role,
          token.state,
          token.createdAt,
          token.createdBy,
          token.expiresAt ?? "-",
          token.lastUsedAt ?? "-",
        ]),
      ));
    return 0;
  });
}

/** `causeway tokens create`: makes one, and shows it or writes it to a file of its own. */
export async function createToken(cli: Cli, options: TokenArguments): Promise<number> {
  const { name, role, out } = options;
  const expiresAt = expiry(options.expires, cli.clock.wallMs());
  return await withClient(cli, async (client) => {
    const make = () =>
      client.post<TokenView & { token: string }>("/v1/tokens", { name, role, expiresAt });
    if (out === undefined) {
      const made = await make();
      answer(cli, made, () => [made.token]);
      cli.terminal.note(`${name} has role ${role}; this is the only time that it is shown`);
      return 0;
    }
    const { token: _, ...view } = await intoFile(out, make);
    answer(cli, { ...view, file: out }, () => [`${name} has role ${role}; its token is in ${out}`]);
    return 0;
  });
}

/** `causeway tokens revoke`: makes one worthless. */
export function revokeToken(cli: Cli, idOrName: string): Promise<number> {
  return withClient(cli, async (client) => {
    const path = `/v1/tokens/${encodeURIComponent(idOrName)}`;
    const token = await client.request<TokenView>("DELETE", path);
    answer(cli, token, () => [`${token.name} (${token.id}) opens nothing any more`]);
    return 0;
  });
}

/** @throws {GatewayError} `request_invalid` */
function expiry(text: string | undefined, nowMs: number): string | null {
  if (text === undefined || text === "never") return null;
  if (/^\d{4}-/.test(text)) return text;
  try {
    return new Date(nowMs + parseDuration(text)).toISOString();
  } catch (cause) {
    throw new GatewayError("request_invalid", `Cannot use --expires ${text}: it is no time`, {
      hint: "Give a time such as 12h or 30d, or one such as 2030-01-31T00:00:00Z",
      cause,
    });
  }
}

/** The file is made first: a token that cannot be kept is not made. */
async function intoFile<T extends { token: string }>(
  path: string,
  make: () => Promise<T>,
): Promise<T> {
  try {
    await createFile(path, "", SECRET_MODE);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("request_invalid", `Cannot write a token to ${path}: ${reason}`, {
      hint: "Give the path of a file that does not exist, in a folder that does",
      cause,
    });
  }
  try {
    const made = await make();
    await Deno.writeTextFile(path, made.token + "\n");
    return made;
  } catch (error) {
    await Deno.remove(path).catch(() => {});
    throw error;
  }
}
