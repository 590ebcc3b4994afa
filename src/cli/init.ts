import { initSite } from "../config/init.ts";
import { answer, type Cli } from "./cli.ts";

/** Options of `causeway init`. */
export interface InitArguments {
  readonly site: string;
  readonly dir: string;
  readonly link?: string;
  readonly http?: string;
}

/** `causeway init`: makes a site. @throws {GatewayError} as `initSite` */
export async function init(cli: Cli, options: InitArguments): Promise<number> {
  const made = await initSite(options, cli.clock.wallMs());
  answer(cli, { site: options.site, ...made }, () => [
    made.fingerprint,
    `configuration  ${made.configPath}`,
    `certificate    ${made.certificatePath} (give this one to the other site)`,
    `API token      ${made.apiTokenPath} (keep this one)`,
  ]);
  return 0;
}
