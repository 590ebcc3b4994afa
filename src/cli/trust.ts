import { type TrustOptions, trustPeer } from "../config/trust.ts";
import { GatewayError } from "../core/errors.ts";
import { answer, type Cli } from "./cli.ts";

/** Options of `causeway trust`. */
export interface TrustArguments {
  readonly peer: string;
  readonly certificate?: string;
  readonly fingerprint?: string;
  readonly address?: string;
  readonly add?: boolean;
  readonly replace?: boolean;
}

/** `causeway trust`: adds a peer. @throws {GatewayError} as `trustPeer`, `request_invalid` */
export async function trust(cli: Cli, options: TrustArguments): Promise<number> {
  const result = await trustPeer(checked(cli.configPath, options));
  answer(cli, result, () => [
    `${result.peer} is trusted as ${result.fingerprint}`,
    result.address === null
      ? "It has no address: it is accepted and never dialled"
      : `It is dialled at ${result.address}`,
  ]);
  return 0;
}

function checked(config: string, options: TrustArguments): TrustOptions {
  const { peer, certificate, fingerprint, address } = options;
  if (options.add && options.replace) {
    throw new GatewayError("request_invalid", "Cannot add a certificate and replace all at once", {
      hint: "Use --add first, and --replace when the peer shows the new one",
    });
  }
  const change = options.add ? "add" : options.replace ? "replace" : undefined;
  if (certificate !== undefined && fingerprint === undefined) {
    return { config, peer, change, certificate, address };
  }
  if (certificate === undefined && fingerprint !== undefined && address !== undefined) {
    return { config, peer, change, fingerprint, address };
  }
  throw new GatewayError("request_invalid", "Cannot trust a peer without knowing its identity", {
    hint: "Give --certificate FILE, or --fingerprint sha256:… together with --address HOST:PORT",
  });
}
