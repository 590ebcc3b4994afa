import process from "node:process";
import { formatHostPort, type HostPort, parseHostPort } from "../config/address.ts";
import { type Config, loadConfig } from "../config/config.ts";
import { GatewayError } from "../core/errors.ts";
import { listProfiles } from "../emulator/load_profile.ts";
import { composeGateway } from "../gateway/compose.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { eventLog, type Log, type LogLevel } from "../host/log.ts";
import { createApp } from "../http/app.ts";
import { isLoopback } from "../http/auth/expected_host.ts";
import type { ProcessFigures } from "../http/metrics.ts";
import { writeApiAddress } from "./api_address.ts";
import type { Cli } from "./cli.ts";
import { aborted, StopSignal } from "./signals.ts";

/** Options of `causeway gateway`. */
export interface GatewayArguments {
  readonly logLevel?: LogLevel;
}

/** A gateway that does not let go within this is ended; its ledger is whole at any time. */
const CLOSE_MS_MAX = 10_000;

/**
 * `causeway gateway`: runs the site's gateway until SIGTERM or SIGINT.
 *
 * Prints `ready http=http://HOST:PORT link=HOST:PORT pid=N` once it serves; everything else is log
 * lines on standard error (with `--json`, an object each). Running moves are restored at the next start, and the machines go on.
 *
 * @throws {GatewayError} `config_invalid`, `address_in_use`, `certificate_invalid`,
 *   `ledger_unusable`
 */
export async function gateway(cli: Cli, options: GatewayArguments = {}): Promise<number> {
  using stop = new StopSignal(["SIGTERM", "SIGINT", "SIGHUP"]);
  const { log, flush } = eventLog({
    clock: cli.clock,
    write: (line) => cli.terminal.note(line),
    level: options.logLevel,
    format: cli.json ? "json" : "logfmt",
  });
  keepGoing(log);
  const config = await loadConfig(cli.configPath);
  const running = await composeGateway(config.path, cli.clock, log);
  let server: Serving;
  try {
    server = serve(config, running, cli, log);
    await writeApiAddress(config.stateDirectory, server.address);
  } catch (error) {
    await running.close();
    throw error;
  }
  warnIfExposed(server.address, log);
  const http = `http://${formatHostPort(server.address)}`;
  cli.terminal.print(`ready http=${http} link=${running.linkAddress} pid=${Deno.pid}`);
  log("info", `site ${config.site} serves`, {
    event: "gateway.serves",
    fields: { site: config.site, link: running.linkAddress },
  });
  await aborted(stop.signal);
  log("info", "stopping: the machines go on, running moves are restored at the next start", {
    event: "gateway.stops",
  });
  const closed = Promise.all([server.close(), running.close()]).then(() => true);
  const late = cli.clock.sleep(CLOSE_MS_MAX).then(() => false);
  if (!await Promise.race([closed, late])) log("warn", "stopped without waiting any longer");
  flush();
  return 0;
}

interface Serving {
  readonly address: HostPort;
  close(): Promise<void>;
}

function serve(
  config: Config,
  running: Gateway,
  cli: Cli,
  log: Log,
): Serving {
  const closing = new AbortController();
  const app = createApp({
    service: running.service,
    authorized: running.authorized,
    audit: running.audit,
    served: { hostname: parseHostPort(config.http)!.hostname, names: config.httpHosts },
    clock: cli.clock,
    log,
    processFigures: () => processFigures(cli.clock.wallMs()),
    profiles: listProfiles,
    closing: closing.signal,
  });
  const { hostname, port } = parseHostPort(config.http)!;
  try {
    const server = Deno.serve({ hostname, port, onListen: () => {} }, app.fetch);
    return {
      address: { hostname, port: server.addr.port },
      async close() {
        closing.abort();
        await server.shutdown();
      },
    };
  } catch (cause) {
    const reason = cause instanceof Deno.errors.AddrInUse
      ? "another program listens there"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new GatewayError("address_in_use", `Cannot serve the API on ${config.http}: ${reason}`, {
      hint: `Stop the other program, or change "http" in ${config.path}`,
      cause,
    });
  }
}

/** A defect ends what it happened in. Everything else, other moves above all, goes on. */
function keepGoing(log: Log): void {
  const note = (what: string, thrown: unknown) => {
    const text = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
    log("error", `${what}: ${text}`);
  };
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    note("unhandled rejection", event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    note("uncaught error", event.error);
  });
}

/** The API has no TLS of its own: whoever reads the traffic has the token. */
function warnIfExposed({ hostname }: HostPort, log: Log) {
  if (isLoopback(hostname)) return;
  log("warn", `the API is served without encryption on ${hostname}: put a TLS proxy before it`);
}

function processFigures(wallMs: number): ProcessFigures {
  const memory = Deno.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    residentBytes: memory.rss,
    heapBytes: memory.heapUsed,
    cpuSeconds: (user + system) / 1e6,
    startedAtSeconds: Math.round((wallMs - performance.now()) / 1000),
  };
}
