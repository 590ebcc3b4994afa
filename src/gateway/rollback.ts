import { GatewayError } from "../core/errors.ts";
import type { OwnershipRecord } from "../migration/ports.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";

/** Why a migration cannot be rolled back, as an error for its operator. */
export function noWayBack(report: MigrationReport): GatewayError {
  const { guest, from, to } = report;
  const [reason, hint] = reasonOf(report);
  return rollbackNotPossible(report.id, reason, hint);

  function reasonOf({ state }: MigrationReport): [reason: string, hint: string] {
    switch (state) {
      case "failed":
      case "cancelled":
      case "rolledBack":
      case "seeded":
        return [`it is ${state}, ${guest} lives at ${from} already`, "Nothing is left to undo"];
      case "conflict":
        return [
          `${from} and ${to} disagree on who runs ${guest}`,
          "Adjudicate: the owner named there keeps the machine",
        ];
      default:
        return [
          `${guest} is handed over, ${to} may run it by now`,
          `Await the answer of ${to}; while it is out of reach, adjudicate`,
        ];
    }
  }
}

/** @param reason in words, as in "Cannot roll m1 back: <reason>" */
export function rollbackNotPossible(id: string, reason: string, hint: string): GatewayError {
  return new GatewayError("rollback_not_possible", `Cannot roll ${id} back: ${reason}`, { hint });
}

/** A completed move, by what decides whether its machine is still where it took it. */
export interface CompletedMove {
  readonly id: string;
  readonly guest: string;
  readonly to: string;
  /** Of its hand-over. */
  readonly epoch: number;
}

/**
 * A move is undone only while the machine has not been elsewhere since: what it was then is not what
 * its images at `from` are now.
 *
 * @param history every ownership record of the guest at this site
 * @throws {GatewayError} `rollback_not_possible`
 */
export function requireStillThere(
  { id, guest, to, epoch }: CompletedMove,
  history: readonly Pick<OwnershipRecord, "epoch" | "owner">[],
): void {
  const since = history.filter((record) => record.epoch >= epoch && record.owner !== null);
  const elsewhere = since.find(({ owner }) => owner !== to);
  if (since.length > 0 && elsewhere === undefined) return;
  const where = elsewhere
    ? `lives at ${elsewhere.owner} by epoch ${elsewhere.epoch}`
    : "is unknown";
  throw rollbackNotPossible(
    id,
    `${guest} has moved on since, it ${where}`,
    "Start a move of it where it runs",
  );
}

/** Failures of a start that the same request may get over: they are told as they are. */
const PASSING = [
  "guest_moving",
  "internal",
  "ledger_write_failed",
  "link_closed",
  "peer_unreachable",
  "rollback_not_possible",
];

/** What kept a move back from beginning, as the answer to whoever wants it. */
export function whyNotBack(id: string, error: GatewayError): GatewayError {
  if (PASSING.includes(error.code)) return error;
  return rollbackNotPossible(id, error.message, error.hint);
}

/**
 * The report of a move with the last try to undo it on top: who runs the machine and where is as the
 * move back says, and once that is completed the machine is home.
 *
 * @param back the report of the move back at this site; null: there was none
 */
export function withRollback(
  report: MigrationReport,
  back: MigrationReport | null,
): MigrationReport {
  if (back === null || report.state !== "completed") return report;
  const rollback = { migration: back.id, state: back.state, error: back.error };
  // A move back may itself have been undone since: it had brought the machine home.
  const isHome = back.state === "completed" || back.state === "rolledBack";
  if (!isHome && ENDED_STATES.includes(back.state)) return { ...report, rollback };
  const { owner, epoch, machine, etaMs } = back;
  if (!isHome) {
    const phase = `moving back to ${report.from} as ${back.id}: ${back.phase}`;
    return { ...report, state: back.state, phase, owner, epoch, machine, etaMs, rollback };
  }
  return {
    ...report,
    state: "rolledBack",
    phase: `brought back to ${report.from} by ${back.id}`,
    owner: report.from,
    epoch,
    machine: { ...machine, site: report.from },
    // The images at the source are the machine's again.
    leftovers: [],
    rollback,
  };
}
