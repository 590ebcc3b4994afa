import { prepareAuthority, rotateLinkKey, useAuthority } from "../config/rotate.ts";
import { untrustPeer } from "../config/untrust.ts";
import { answer, type Cli } from "./cli.ts";

/** Options of `causeway rotate-key`. */
export interface RotateKeyArguments {
  readonly authorityKey?: string;
  readonly generation?: number;
}

/** Options of `causeway rotate-authority`. */
export interface RotateAuthorityArguments {
  readonly use?: string;
}

/** `causeway rotate-key`: a new key for the link. @throws {GatewayError} as `rotateLinkKey` */
export async function rotateKey(cli: Cli, options: RotateKeyArguments): Promise<number> {
  const { authorityKey: authorityKeyFile, generation } = options;
  const made = await rotateLinkKey({ config: cli.configPath, authorityKeyFile, generation });
  answer(cli, made, () => [
    `generation ${made.generation} of the link key of ${made.fingerprint} is in ${made.linkKeyPath}`,
    "A running gateway takes it for new connections at once; peers need not be told.",
    "The gateway does not need the authority's key any more: it can be kept elsewhere.",
  ]);
  return 0;
}

/**
 * `causeway rotate-authority`: makes another authority, or with `--use` shows it.
 *
 * @throws {GatewayError} as `prepareAuthority` and `useAuthority`
 */
export async function rotateAuthority(
  cli: Cli,
  { use }: RotateAuthorityArguments,
): Promise<number> {
  if (use !== undefined) {
    const used = await useAuthority(cli.configPath, use);
    answer(cli, used, () => [
      `The site is ${used.fingerprint} now`,
      "Peers can drop the old one: causeway trust --peer NAME --certificate FILE --replace",
    ]);
    return 0;
  }
  const made = await prepareAuthority(cli.configPath, cli.clock.wallMs());
  answer(cli, made, () => [
    made.fingerprint,
    `certificate    ${made.certificatePath}`,
    "Nothing has changed yet. Give the certificate to every peer, and run there:",
    "  causeway trust --peer NAME --certificate FILE --add",
    `then here: causeway rotate-authority --use ${made.certificatePath}`,
  ]);
  return 0;
}

/** `causeway untrust`: takes a peer out. @throws {GatewayError} as `untrustPeer` */
export async function untrust(cli: Cli, { peer }: { readonly peer: string }): Promise<number> {
  await untrustPeer({ config: cli.configPath, peer });
  answer(cli, { removed: peer }, () => [`${peer} is not trusted any more`]);
  return 0;
}
