import { inlineSealer, type Sealer } from "../codec/sealer.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { Guest } from "../guest/guest.ts";
import type { KnownKeys } from "../identity/known_keys.ts";
import type { Log } from "../host/log.ts";
import type { CarrierEndpoint } from "../link/carrier.ts";
import type { CarrierMode } from "../link/carrier_choice.ts";
import { type Ledger, openLedger } from "../ledger/ledger.ts";
import { DEFAULT_PAGE_LIMITS, type PageLimits } from "../image/page_memory.ts";
import { DEFAULT_KEPT_LIMITS, KeptImages, type KeptLimits } from "../migration/kept_images.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import { acceptanceOf } from "../security/accept_rules.ts";
import { type Authorize, tokenAuthorizer } from "../security/authorize.ts";
import { TokenRegistry } from "../security/token_registry.ts";
import { requireDataHost } from "./data_hosts.ts";
import type { Fence } from "./fence.ts";
import {
  type AttachGuest,
  describeIfThere,
  GuestRegistry,
  type RegisteredGuest,
} from "./guests.ts";
import { ImageRecordFiles } from "./image_records.ts";
import { deleteLeftovers } from "./leftovers.ts";
import { MigrationManager } from "./migrations.ts";
import { logLink, MoveLog } from "./move_log.ts";
import { type LinkLimits, PeerRegistry, type TrustedPeer } from "./peers.ts";
import { peerKeys } from "./peer_keys.ts";
import { watchPeers } from "./peer_watch.ts";
import { planMove } from "./plan/plan.ts";
import type { ScratchFolders } from "./plan/scratch.ts";
import { RefusalAudit } from "./refusal_audit.ts";
import { noWayBack } from "./rollback.ts";
import { catchUp, redirectCommands, redirectViews, requireOwnAddresses } from "./redirecting.ts";
import type { Probe } from "../redirect/probes.ts";
import { Redirects } from "../redirect/redirects.ts";
import { TunnelHub } from "../redirect/tunnel_hub.ts";
import type { NameServers } from "../redirect/name_server.ts";
import { makeMeans } from "../redirect/make_means.ts";
import type { GatewayService, GuestView } from "./service.ts";
import { attachAllowed, NO_RULES, requireImagePath, type SiteRules } from "./site_rules.ts";
import { SiteContents, type StoreSettings } from "./site_contents.ts";
import { requireOpen } from "./switch_window.ts";

/** Ids of tokens are typed by people. */
const TOKEN_ID_CHARACTERS = 8;

export interface GatewayDeps {
  readonly site: string;
  readonly ledgerFile: string;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly attach: AttachGuest;
  readonly readPeers: () => Promise<readonly TrustedPeer[]>;
  /**
   * A text that changes whenever the peers may have changed, cheap to ask for once a second. Without
   * it they are read only when somebody asks for one that is not known.
   */
  readonly peersVersion?: () => Promise<string>;
  /** `limits` and `dataHosts` of the configuration; without them nothing is capped or listed. */
  readonly limits?: LinkLimits;
  /** What carries the links; default "auto". */
  readonly carrier?: CarrierMode;
  /** CPU time of this process so far, ms. */
  readonly cpuMs?: () => number;
  readonly dataHosts?: readonly string[];
  /** Bounds of page images and pools; the configuration's defaults without them. */
  readonly pages?: PageLimits;
  /** `allow` and `accept` of the configuration of this moment; without it nothing is refused. */
  readonly rules?: () => SiteRules;
  /** The operator's token: content and path of its file, null where it was moved away. */
  readonly apiToken?: { readonly text: string | null; readonly path: string };
  /** What is kept for later moves; nothing without it. */
  readonly store?: StoreSettings;
  /** For looks into machines' memory; without it plans go without them. */
  readonly scratch?: Pick<ScratchFolders, "open">;
  /** Packs batches for all moves and is closed with the gateway; without one its thread does it. */
  readonly sealer?: Sealer & { close(): void };
  /** Bounds of what stays of machines' memory after their moves; the defaults without them. */
  readonly kept?: KeptLimits;
  /** `fence` of the configuration. */
  readonly fence?: Fence;
  /** What makes addresses follow their machines; tests replace it. */
  readonly makeMeans?: typeof makeMeans;
  /** `nameServers` of the configuration, by name. */
  readonly nameServers?: NameServers;
  /** Asks machines whether they are reached; tests replace it. */
  readonly probe?: Probe;
  /** Opened after the machines of interrupted moves run again (design, rule 5). */
  readonly openEndpoint: (incarnation: string, keys: KnownKeys) => Promise<CarrierEndpoint>;
  /** In place of the ledger in `ledgerFile`: for whoever keeps one across lives of a gateway. */
  readonly ledger?: Ledger;
  /** In place of the records below `stateDirectory`, of images that are no files. */
  readonly images?: Pick<ImageRecordFiles, "track" | "has" | "forget" | "idle">;
  readonly newId: () => string;
  readonly log: Log;
}

/** A running gateway: the service for its API, and its end. */
export interface Gateway {
  readonly service: GatewayService;
  /** Judges the tokens that requests to the API carry. */
  readonly authorized: Authorize;
  /** Writes to the site's audit; never throws. */
  readonly audit: (kind: string, body: Record<string, unknown>) => void;
  readonly linkAddress: string;
  /** Lets go of machines and peers; running moves are restored by the next start. */
  close(): Promise<void>;
}

/**
 * Starts a gateway: ledger, then machines, then link.
 *
 * @throws {GatewayError} `ledger_unusable`, `address_in_use`, `config_invalid`
 */
export async function startGateway(deps: GatewayDeps): Promise<Gateway> {
  const { site, clock, log } = deps;
  const ledger = deps.ledger ?? openLedger(deps.ledgerFile, clock);
  const rules = deps.rules ?? (() => NO_RULES);
  const guests = new GuestRegistry(site, ledger, attachAllowed(deps.attach, rules));
  const audit = (kind: string, body: Record<string, unknown>) => {
    try {
      ledger.audit(kind, body);
    } catch (error) {
      log("error", toGatewayError(error).message);
    }
  };
  const tokens = new TokenRegistry({
    store: ledger.tokens,
    clock,
    newId: () => deps.newId().slice(0, TOKEN_ID_CHARACTERS),
    audit,
    log,
  });
  if (deps.apiToken) tokens.takeOver(deps.apiToken.text, deps.apiToken.path);
  const incarnation = deps.newId();
  const pages = deps.pages ?? DEFAULT_PAGE_LIMITS;
  const contents = new SiteContents(
    deps.store ?? { bytesMax: 0, sharedImages: [] },
    `${deps.stateDirectory}/store`,
    pages.memoryAtRest !== "never",
    log,
  );
  const tunnels = new TunnelHub();
  const peers = new PeerRegistry({
    clock,
    incarnation,
    readPeers: deps.readPeers,
    onLink: (link) => {
      logLink(link, log);
      tunnels.addLink(link);
      migrations.watch(link);
    },
    audit,
    limits: deps.limits,
    carrier: deps.carrier,
    cpuMs: deps.cpuMs,
    log,
  });
  const kept = new KeptImages(deps.kept ?? DEFAULT_KEPT_LIMITS, clock, log);
  const images = deps.images ?? new ImageRecordFiles({
    directory: `${deps.stateDirectory}/disks`,
    clock,
    log,
  });
  const nameServers = deps.nameServers ?? {};
  const redirects = new Redirects({
    site,
    store: ledger,
    clock,
    means: (subject) => (deps.makeMeans ?? makeMeans)(subject, clock, tunnels, nameServers),
    probe: deps.probe,
    log,
  });
  const migrations: MigrationManager = new MigrationManager({
    site,
    ledger,
    clock,
    guests,
    peers,
    scratchDirectory: `${deps.stateDirectory}/moves`,
    pages,
    contents,
    sealer: deps.sealer ?? inlineSealer,
    kept,
    images,
    acceptance: (peer) => acceptanceOf(rules().accept, peer),
    fence: deps.fence ?? null,
    redirects,
    newId: deps.newId,
    log,
  });

  const moveLog = new MoveLog(log);
  migrations.reports.onReport((report) => moveLog.add(report));
  const closing = new AbortController();
  await peers.reload();
  await guests.restore();
  redirects.load();
  await migrations.restore();
  catchUp(redirects, ledger, site);
  redirects.start();
  // After the machines: reading a large store takes a second, and none of them waits for it.
  contents.open();
  const endpoint = await deps.openEndpoint(incarnation, peerKeys(ledger, audit, log));
  peers.connect(endpoint);
  const watched = deps.peersVersion && watchPeers({
    version: deps.peersVersion,
    reload: async () => {
      await peers.reload();
      const renewed = await endpoint.renewIdentity?.();
      if (renewed) audit("key_replaced", renewed);
    },
    clock,
    log,
    signal: closing.signal,
  });

  const view = async (entry: RegisteredGuest): Promise<GuestView> => {
    const description = await describeIfThere(entry.guest);
    const record = ledger.ownership(entry.id);
    return {
      id: entry.id,
      kind: entry.definition.kind,
      role: entry.role,
      owner: record?.owner ?? (entry.role === "source" ? site : null),
      epoch: record?.epoch ?? 1,
      runState: description?.runState ?? (entry.guest ? "gone" : "unreachable"),
      description,
      definition: entry.definition,
      migration: migrations.movingGuest(entry.id),
      history: ledger.ownershipHistory(entry.id),
    };
  };
  const refuseWhileMoving = (id: string, action: string) => {
    const moving = migrations.movingGuest(id);
    if (moving === null) return;
    throw new GatewayError("guest_moving", `Cannot ${action} ${id}: it is moving`, {
      hint: `Cancel or await migration ${moving} first`,
    });
  };

  const service: GatewayService = {
    site,
    async putGuest(id, definition) {
      refuseWhileMoving(id, "register");
      requireDataHost(definition, deps.dataHosts ?? []);
      requireOwnAddresses(id, definition, guests.list());
      const { created } = await guests.put(id, definition);
      if (definition.role === "source" && ledger.ownership(id) === null) {
        ledger.claim({
          guestId: id,
          epoch: 1,
          owner: site,
          migrationId: null,
          decidedBy: "registration",
          reason: "registered as running here",
        });
      }
      audit("guest_registered", { guest: id, role: definition.role, kind: definition.kind });
      return { created, guest: await view(guests.get(id)) };
    },
    guest: async (id) => await view(guests.get(id)),
    guests: async () => await Promise.all(guests.list().map(view)),
    async deleteGuest(id, end) {
      refuseWhileMoving(id, "remove");
      await guests.remove(id, end);
      audit("guest_removed", { guest: id, end });
    },
    async verifyGuest(id) {
      const machine = await guests.machine(id) as Guest & { verify?: () => Promise<unknown> };
      if (machine.verify) return await machine.verify();
      throw new GatewayError(
        "guest_cannot_verify",
        `Cannot verify ${id}: a ${machine.kind} machine has no self-check`,
        {
          hint: "Only reference guests check themselves on request",
        },
      );
    },

    peers: () => peers.views(),
    redirects: () => redirectViews(redirects, guests.list(), site),
    onRedirect: (listener) => redirects.onChange(listener),
    async answerRedirect(migration, { keep, by }) {
      redirects.answer(migration, keep, by);
      audit("redirect_answered", { migration, keep, by });
      if (!keep) await service.rollback(migration);
    },
    redirectCommands: (id) => redirectCommands(redirects, guests.get(id)),

    async startMigration(request) {
      requireOpen(request.options.window, clock.wallMs());
      return await migrations.start(request);
    },
    migration: (id) => migrations.reports.report(id),
    migrations: () => migrations.reports.list(),
    cancel: (id) => acted(id, () => migrations.source(id, "cancel").cancel()),
    switchover: (id) => acted(id, () => migrations.source(id, "switch over").switchover()),
    hold: (id) => acted(id, () => migrations.source(id, "hold").hold()),
    async rollback(id) {
      try {
        return await acted(id, () => migrations.source(id, "roll back").cancel());
      } catch (error) {
        const report = migrations.reports.report(id);
        const isBeingUndone = report.rollback !== null && report.state !== "rolledBack";
        if (report.state === "completed" || isBeingUndone) {
          await migrations.rollbacks.begin(id);
          return migrations.reports.report(id);
        }
        const elsewhere = report.side === "destination" && !ENDED_STATES.includes(report.state);
        throw elsewhere || toGatewayError(error).code !== "migration_state"
          ? error
          : noWayBack(report);
      }
    },
    adjudicate: (id, decision) => acted(id, () => migrations.adjudicate(id, decision)),
    change: (id, changes) =>
      acted(id, () => {
        requireOpen(changes.window ?? null, clock.wallMs());
        migrations.source(id, "change").change(changes);
      }),
    answer: (id, said) => acted(id, () => migrations.source(id, "answer").answer(said)),
    async deleteLeftovers(id) {
      const report = migrations.reports.report(id);
      const deleted = await deleteLeftovers(report, {
        guests,
        ownership: (guestId) => ledger.ownership(guestId),
        movingGuest: (guestId) => migrations.movingGuest(guestId),
        requirePath: (path) => requireImagePath(path, rules().allow, deps.stateDirectory),
      });
      kept.drop(report.guest, report.side === "source" ? report.to : report.from);
      for (const path of deleted) await images.forget(path);
      migrations.reports.leftoversDeleted(id, deleted);
      audit("leftovers_deleted", { migration: id, deleted });
      return { deleted };
    },
    onReport: (id, listener) =>
      migrations.reports.onReport((report) => {
        if (id === null || report.id === id) listener(report);
      }),

    setLinkRate: (peer, rate) => peers.setRate(peer, rate),
    plan: (request, signal) =>
      planMove(
        {
          site,
          clock,
          guests,
          peers,
          ownership: (guestId) => ledger.ownership(guestId),
          movingGuest: (guestId) => migrations.movingGuest(guestId),
          scratch: deps.scratch ?? null,
          newId: deps.newId,
        },
        request,
        signal,
      ),
    audit: (query) => ledger.auditEntries(query),
    tokens: () => tokens.list(),
    createToken: (request, by) => tokens.create(request, by),
    revokeToken: (idOrName, by) => tokens.revoke(idOrName, by),
    health() {
      const checks: Record<string, string> = {
        ledger: ledger.isWritable() ? "ok" : "unwritable",
        link: endpoint.address,
      };
      for (const peer of peers.views()) checks[`peer ${peer.name}`] = peer.state;
      for (const { id, problem } of guests.list()) {
        if (problem) checks[`guest ${id}`] = problem.message;
      }
      const wrong = Object.entries(checks)
        .some(([name, state]) => name.startsWith("guest ") || state === "unwritable");
      return { status: wrong ? "degraded" : "ok", checks };
    },
  };

  // A refusal of the state comes as a rejection, so that callers meet one kind of failure.
  async function acted(id: string, act: () => void | Promise<void>): Promise<MigrationReport> {
    await Promise.resolve();
    await act();
    return migrations.reports.report(id);
  }

  const wrongTokens = new RefusalAudit(clock, audit, "token_refused");
  return {
    service,
    authorized: tokenAuthorizer({
      tokens,
      clock,
      audit,
      refused: (remote) =>
        wrongTokens.add({ remote, code: "api_token_invalid", message: "a wrong token of the API" }),
    }),
    audit,
    linkAddress: endpoint.address,
    async close() {
      closing.abort();
      tokens.close();
      await watched;
      await migrations.stop();
      await redirects.close();
      kept.close();
      await images.idle();
      await peers.close();
      await endpoint.close();
      await guests.detachAll();
      contents.close();
      deps.sealer?.close();
      ledger.close();
    },
  };
}
