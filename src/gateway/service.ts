import type { GuestDefinition } from "../guest/definition.ts";
import type { GuestDescription } from "../guest/guest.ts";
import type { AuditEntry, AuditQuery } from "../ledger/audit_log.ts";
import type { PathMeasurement } from "../link/peer_link.ts";
import type { LinkRate } from "../migration/control/wishes.ts";
import type { MigrationChanges, MigrationOptions } from "../migration/options.ts";
import type { OwnershipRecord } from "../migration/ports.ts";
import type { MigrationReport, QuestionAnswer } from "../migration/report.ts";
import type { RedirectView } from "../redirect/view.ts";
import type { TokenRequest, TokenView } from "../security/token_registry.ts";
import type { Plan, PlanRequest } from "./plan/report.ts";
import type { CarrierView } from "./shown_carrier.ts";

export type { Plan, PlanRequest } from "./plan/report.ts";

/**
 * Everything that a gateway does for its operator; the HTTP application is a thin layer over it and
 * the CLI talks to that. Methods throw `GatewayError`; the codes that matter are named.
 */
export interface GatewayService {
  readonly site: string;
  /** `guest_exists`, `guest_moving`, `guest_launch_failed`, `guest_unreachable`. */
  putGuest(
    id: string,
    definition: GuestDefinition,
  ): Promise<{ created: boolean; guest: GuestView }>;
  guest(id: string): Promise<GuestView>;
  guests(): Promise<GuestView[]>;
  /** Detaches; `end` ends the machine too. `guest_unknown`, `guest_moving`. */
  deleteGuest(id: string, end: boolean): Promise<void>;
  /** Asks the machine to check itself; reference guests only (`guest_cannot_verify`). */
  verifyGuest(id: string): Promise<unknown>;

  peers(): PeerView[];
  /** What makes machines' addresses follow them at this site, the newest first. */
  redirects(): Promise<RedirectView[]>;
  /** Tells each redirect that has changed. @returns ends that */
  onRedirect(listener: (view: RedirectView) => void): () => void;
  /**
   * Answers what a redirect asks: to keep the machine where it is, or to bring it back, which is a
   * rollback of its move. `no_question`, and what `rollback` throws.
   */
  answerRedirect(migration: string, answer: { keep: boolean; by: string }): Promise<void>;
  /** A dry run: what a move of this machine would do here. `guest_unknown`, `request_invalid`. */
  redirectCommands(guest: string): RedirectCommands[];

  /**
   * Runs the preflight with the peer and starts the move.
   *
   * `guest_unknown`, `guest_moving`, `guest_not_source`, `peer_unknown`, `peer_unreachable`,
   * `destination_not_registered` and the other preflight codes; `request_invalid` for a window that
   * has closed already.
   */
  startMigration(request: { guest: string; to: string; options: MigrationOptions }): Promise<
    MigrationReport
  >;
  migration(id: string): MigrationReport;
  migrations(): MigrationReport[];
  /** `migration_state` where the state does not allow it. */
  cancel(id: string): Promise<MigrationReport>;
  switchover(id: string): Promise<MigrationReport>;
  hold(id: string): Promise<MigrationReport>;
  rollback(id: string): Promise<MigrationReport>;
  adjudicate(
    id: string,
    decision: { owner: string; reason: string; force: boolean; by: string },
  ): Promise<MigrationReport>;
  /** Other wishes for a move that runs. `migration_state`, `request_invalid`. */
  change(id: string, changes: MigrationChanges): Promise<MigrationReport>;
  /** Answers what the move asks. `no_question` where it asks nothing. */
  answer(id: string, answer: QuestionAnswer): Promise<MigrationReport>;
  deleteLeftovers(id: string): Promise<{ deleted: string[] }>;
  /** Each new report of one migration (or of all, id null) until the returned function is called. */
  onReport(id: string | null, listener: (report: MigrationReport) => void): () => void;

  /** `peer_unknown`. */
  setLinkRate(peer: string, rate: LinkRate): Promise<void>;
  /**
   * Watches the machine, probes the path, asks the peer and forecasts a move; nothing moves. Takes as
   * long as the machine is watched, or up to 5 s for a link that is down, until `signal` aborts.
   * `guest_unknown`, `peer_unknown`.
   */
  plan(request: PlanRequest, signal: AbortSignal): Promise<Plan>;
  /** Newest first. */
  audit(query: AuditQuery): AuditEntry[];
  /** Tokens of the API, never their texts. */
  tokens(): TokenView[];
  /**
   * Makes a token for `by`, the name of the token that asks; its text is in this answer alone.
   * `request_invalid`, `token_name_taken`, `token_limit`.
   */
  createToken(request: TokenRequest, by: string): TokenView & { token: string };
  /** By id, or by the name of one in use. `token_unknown`, `token_last_admin`. */
  revokeToken(idOrName: string, by: string): TokenView;
  health(): { status: "ok" | "degraded"; checks: Record<string, string> };
}

/** What one means does at one stage of a move, from the old or the new site's side. */
export interface RedirectCommands {
  side: "old" | "new";
  stage: string;
  means: string;
  commands: readonly string[];
}

/** One registered machine as `GET /v1/guests` shows it. */
export interface GuestView {
  id: string;
  kind: "qemu" | "reference";
  role: "source" | "incoming";
  owner: string | null;
  epoch: number;
  runState: string;
  /** Null while the machine cannot be reached. */
  description: GuestDescription | null;
  definition: GuestDefinition;
  migration: string | null;
  history: OwnershipRecord[];
}

/** One trusted peer and the link to it as `GET /v1/peers` shows them. */
export interface PeerView {
  name: string;
  address: string | null;
  fingerprint: string;
  state: "up" | "down";
  /** What carries the link; null while nothing does. */
  carrier: CarrierView | null;
  path: PathMeasurement;
  /** Cap over everything that goes there, as it was wished. */
  rate: LinkRate;
  /** The cap in force now; null is none. */
  rateBytesPerSecond: number | null;
  /** Payload bytes that were sent again since the gateway started: what outages have cost. */
  resentBytes: number;
  /** The peer's wall clock less this site's, ms; null before the peer has told. */
  clockOffsetMs: number | null;
  lastError: { code: string; message: string; hint: string } | null;
}
