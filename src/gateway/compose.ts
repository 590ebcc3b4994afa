import { type Config, loadConfig } from "../config/config.ts";
import { fileVersion, resolvePeers } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { GuestDefinition } from "../guest/definition.ts";
import type { Guest } from "../guest/guest.ts";
import { attachReferenceGuest } from "../guest/reference/reference_guest.ts";
import { runHook } from "../host/hook.ts";
import type { Log } from "../host/log.ts";
import { processCpuMs } from "../host/process_cpu.ts";
import { openEndpoint } from "../link/endpoint.ts";
import { attachQemu } from "../qemu/qemu_guest.ts";
import { WorkerSealer, workersForThisMachine } from "../sealing/worker_sealer.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { lockSite } from "./site_lock.ts";
import { ScratchFolders } from "./plan/scratch.ts";

/** The composition root of a gateway: everything that the service is built from, for one site. */
export async function composeGateway(
  configPath: string,
  clock: Clock,
  log: Log,
): Promise<Gateway> {
  const config = await loadConfig(configPath);
  let present = config;
  await Deno.mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
  using lock = new DisposableStack();
  lock.use(lockSite(config));
  const scratch = new ScratchFolders(config.stateDirectory);
  await scratch.clear();
  const gateway = await startGateway({
    scratch,
    site: config.site,
    ledgerFile: config.ledgerFile,
    stateDirectory: config.stateDirectory,
    clock,
    limits: config.limits,
    carrier: config.carrier,
    cpuMs: processCpuMs,
    pages: { ...config.limits, memoryAtRest: config.memoryAtRest },
    store: { bytesMax: config.limits.siteStoreBytesMax, sharedImages: config.sharedImages },
    sealer: new WorkerSealer({
      workers: config.compressionWorkers ?? workersForThisMachine(),
      clock,
      log,
    }),
    kept: config.limits,
    dataHosts: config.dataHosts,
    apiToken: { text: await readApiToken(config.apiTokenFile, log), path: config.apiTokenFile },
    nameServers: config.nameServers,
    fence: config.fence === null ? undefined : (request) => {
      const { command, timeoutMs } = config.fence!;
      return runHook(command, timeoutMs, request);
    },
    attach: (request) => attach(request, config.stateDirectory, clock),
    readPeers: async () => {
      const next = await loadConfig(config.path);
      const peers = await resolvePeers(next);
      present = next;
      // The first of a name counts where one has to be shown: a peer can have several certificates.
      return peers.filter(({ name }, at) => peers.findIndex((peer) => peer.name === name) === at)
        .map(({ name, address, certificate }) => ({
          name,
          address,
          fingerprint: certificate.fingerprint,
        }));
    },
    rules: () => present,
    peersVersion: async () =>
      (await Promise.all([
        fileVersion(config.path),
        ...identityFiles(present).map((path) => fileVersion(path).catch(() => "none")),
      ])).join(),
    openEndpoint: (incarnation, keys) =>
      // The peer registry hears of refusals from the endpoint and records them itself.
      openEndpoint({ config, incarnation, clock, keys, audit: () => {} }),
    newId: () => crypto.randomUUID(),
    log,
  });
  const kept = lock.move();
  return {
    ...gateway,
    async close() {
      await gateway.close();
      kept.dispose();
    },
  };
}

function identityFiles({ certificateFile, keyFile, linkKeyFile }: Config): string[] {
  return [certificateFile, keyFile, linkKeyFile];
}

/** The operator's copy of the token; null where it is kept elsewhere. */
async function readApiToken(
  path: string,
  log: (level: "warn", message: string) => void,
): Promise<string | null> {
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      log("warn", `others can read ${path}: give it mode 0600, or revoke its token`);
    }
    return (await Deno.readTextFile(path)).trim();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("config_invalid", `Cannot use the API token in ${path}: ${reason}`, {
      hint: "Put a secret of one line there, readable by the gateway's user only",
      cause,
    });
  }
}

async function attach(
  { id, definition, launch }: { id: string; definition: GuestDefinition; launch: boolean },
  stateDirectory: string,
  clock: Clock,
): Promise<Guest> {
  if (definition.kind === "qemu") {
    return await attachQemu({ id, definition, stateDirectory, clock, mayStart: launch });
  }
  return await attachReferenceGuest({
    id,
    definition,
    stateDirectory,
    clock,
    mayStart: launch,
  });
}
