import { type Config, loadConfig } from "../../config/config.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { GuestView, PeerView } from "../../gateway/service.ts";
import { readSiteCertificate } from "../../identity/site_certificate.ts";
import { checkLedger } from "../../ledger/check.ts";
import { answer, type Cli } from "../cli.ts";
import { ApiClient } from "../client.ts";
import { EXIT } from "../exit_codes.ts";
import { checkFiles } from "./files.ts";
import { fail, failedBy, type Finding, findingLines, ok, warn } from "./finding.ts";
import { checkMonitors, checkQemu, judgeGuests } from "./machines.ts";
import { checkNameServers } from "./name_servers.ts";
import { checkFreePorts, checkOwnLink, checkReceiveBuffers } from "./network.ts";
import { checkPeers } from "./peer.ts";
import { checkDisk, judgeLedger } from "./storage.ts";

/** Options of `causeway doctor`. */
export interface DoctorArguments {
  /** The one peer to look at; all without it. */
  readonly peer?: string;
}

/**
 * `causeway doctor`: checks a site and says what to do. Changes nothing. A gateway that runs is asked
 * for what only it can know; without one, ports are tried and peers dialled from here.
 *
 * @returns 0 unless something fails; warnings are no failure
 */
export async function doctor(cli: Cli, options: DoctorArguments): Promise<number> {
  const findings = await examine(cli, options.peer ?? null);
  const failed = findings.some(({ verdict }) => verdict === "fail");
  answer(cli, { ok: !failed, findings }, () => findingLines(findings));
  return failed ? EXIT.failed : EXIT.done;
}

async function examine(cli: Cli, peer: string | null): Promise<Finding[]> {
  let config: Config;
  try {
    config = await loadConfig(cli.configPath);
  } catch (error) {
    return [failedBy("configuration", error)];
  }
  const gateway = await askGateway(cli, config);
  const ledger = await exists(config.ledgerFile) ? checkLedger(config.ledgerFile) : null;
  const running = gateway.views;
  return [
    ok("configuration", `${config.path}, site ${config.site}`),
    ...await checkFiles(config),
    await checkDisk(config),
    judgeLedger(config.ledgerFile, ledger),
    gateway.finding,
    ...running === null
      ? checkFreePorts(config)
      : await ownLink(config, running.health.checks?.link ?? config.link),
    await checkReceiveBuffers(),
    await checkQemu(),
    ...await checkNameServers(config),
    ...running === null
      ? await checkMonitors(ledger?.guests ?? [], cli.clock)
      : judgeGuests(running.guests),
    ...await checkPeers(config, cli.clock, running?.peers ?? null, peer),
  ];
}

interface Views {
  readonly health: { status: string; site?: string; checks?: Record<string, string> };
  readonly guests: readonly GuestView[];
  readonly peers: readonly PeerView[];
}

async function askGateway(
  cli: Cli,
  config: Config,
): Promise<{ finding: Finding; views: Views | null }> {
  const check = "gateway";
  try {
    using client = await ApiClient.open(config.path, cli.tokenFile);
    const health = await client.get<Views["health"]>("/healthz");
    const guests = await client.get<GuestView[]>("/v1/guests");
    const peers = await client.get<PeerView[]>("/v1/peers");
    const views = { health, guests, peers };
    if (health.site !== undefined && health.site !== config.site) {
      const seen = `${config.http} is served by site ${health.site}`;
      return { finding: fail(check, seen, "Two sites share this API address"), views: null };
    }
    return {
      finding: health.checks?.ledger === "unwritable"
        ? fail(check, "it runs and cannot write its ledger", "Check disk and permissions of it")
        : ok(check, "it runs and answers"),
      views,
    };
  } catch (error) {
    if (error instanceof GatewayError && error.code === "gateway_unreachable") {
      const hint = `Start it with \`causeway gateway --config ${cli.configPath}\``;
      return { finding: warn(check, "it does not run", hint), views: null };
    }
    const { message, hint } = toGatewayError(error);
    return { finding: fail(check, message, hint), views: null };
  }
}

async function ownLink(config: Config, link: string): Promise<Finding[]> {
  try {
    const { fingerprint } = await readSiteCertificate(config.certificateFile);
    return [await checkOwnLink(link, fingerprint)];
  } catch {
    // Said by the check of the identity.
    return [];
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
