import { GatewayError } from "../core/errors.ts";
import { loadConfig, readConfigText } from "./config.ts";
import { PUBLIC_MODE, replaceFile } from "./write_file.ts";

/**
 * Takes a peer out of the configuration. A running gateway ends its connections within a second or
 * so; moves with it wait for a link that does not come back.
 *
 * @throws {GatewayError} `config_invalid`, `peer_unknown`
 */
export async function untrustPeer(
  { config: path, peer: name }: { readonly config: string; readonly peer: string },
): Promise<void> {
  const config = await loadConfig(path);
  const file = JSON.parse(await readConfigText(config.path)) as { peers?: { name: string }[] };
  const rest = (file.peers ?? []).filter((peer) => peer.name !== name);
  if (rest.length === config.peers.length) {
    const known = config.peers.map((peer) => peer.name).join(", ") || "none";
    throw new GatewayError("peer_unknown", `Cannot remove peer ${name}: it is not trusted here`, {
      hint: `Those that are: ${known}`,
    });
  }
  file.peers = rest;
  const { mode } = await Deno.stat(config.path);
  const text = JSON.stringify(file, null, 2) + "\n";
  await replaceFile(config.path, text, mode === null ? PUBLIC_MODE : mode & 0o777);
}
