import { loadConfig } from "../config/config.ts";
import { loadPeers, peersVersion } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
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
    fence: config.fence === null ? undefined : (request) => {
      const { command, timeoutMs } = config.fence!;
      return runHook(command, timeoutMs, request);
    },
    attach: (request) => attach(request, config.stateDirectory, clock),
    readPeers: async () =>
      (await loadPeers(config.path)).map(({ name, address, certificate }) => ({
        name,
        address,
        fingerprint: certificate.fingerprint,
      })),
    peersVersion: () => peersVersion(config.path),
    openEndpoint: (incarnation) =>
      // The peer registry hears of refusals from the endpoint and records them itself.
      openEndpoint({ config, incarnation, clock, audit: () => {} }),
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
