import type { Log, LogContext, LogLevel } from "../host/log.ts";
import type { PeerLink } from "../link/peer_link.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";

interface Told {
  readonly state: string;
  readonly rounds: number;
  readonly decisions: number;
}

/** Moves whose last report is remembered; the oldest are long over. */
const REMEMBERED_MAX = 1_024;
const LEVELS: Readonly<Record<string, LogLevel>> = {
  failed: "warn",
  inDoubt: "warn",
  conflict: "error",
};

/**
 * Turns reports of moves into events: `move.state` for each change of state, `move.round` for each
 * round that has ended, `move.decision` for what was decided. What a report repeats is not said again.
 */
export class MoveLog {
  readonly #told = new Map<string, Told>();

  constructor(private readonly log: Log) {}

  add(report: MigrationReport): void {
    const { id, state, rounds, decisions } = report;
    const ended = rounds.filter(({ durationMs }) => durationMs !== null).length;
    // Of a move that a restart has found, the past was told by the process before.
    const before = this.#told.get(id) ?? { state: "", rounds: ended, decisions: decisions.length };
    const say: Log = (level, message, context) =>
      this.log(level, message, { migration: id, ...context });
    for (const decision of decisions.slice(before.decisions)) {
      say("info", decision.reason, { event: "move.decision", fields: { action: decision.action } });
    }
    for (const round of rounds.slice(before.rounds, ended)) {
      say("info", `round ${round.number} of ${round.kind} has ended`, {
        event: "move.round",
        fields: {
          kind: round.kind,
          round: round.number,
          sentBytes: round.sentBytes,
          remainingBytes: round.remainingBytes,
          durationMs: round.durationMs,
          goodputBytesPerSecond: round.durationMs
            ? Math.round(round.sentBytes * 1000 / round.durationMs)
            : null,
          forecastDowntimeMs: report.forecast?.downtimeMs ?? null,
          elapsedMs: report.totalMs,
        },
      });
    }
    if (state !== before.state) this.#state(report, say);
    this.#told.delete(id);
    this.#told.set(id, { state, rounds: ended, decisions: decisions.length });
    if (this.#told.size > REMEMBERED_MAX) this.#told.delete(this.#told.keys().next().value!);
  }

  #state(report: MigrationReport, say: Log): void {
    const { state, error, guest, side, owner, epoch } = report;
    const ended = ENDED_STATES.includes(state);
    say(LEVELS[state] ?? "info", error?.message ?? `${guest}: ${state}`, {
      event: "move.state",
      fields: {
        state,
        guest,
        side,
        peer: side === "source" ? report.to : report.from,
        owner,
        epoch,
        code: error?.code ?? null,
        totalMs: ended ? report.totalMs : null,
        downtimeMs: ended ? report.downtimeMs : null,
        wireBytes: ended ? report.wireBytes.total : null,
      },
    });
  }
}

/** Says when a link comes and goes, and why a peer was refused. */
export function logLink(link: PeerLink, log: Log): void {
  const { peerName: peer } = link;
  link.onEvent((event) => {
    if (event.kind === "closedByPeer") {
      const { migrationId: migration } = event;
      log("debug", event.reason, { ...of("link.closed_by_peer"), migration });
    } else if (event.kind === "up") log("info", `the link to ${peer} is up`, of("link.up"));
    else if (event.kind === "down") log("warn", `the link to ${peer} is down`, of("link.down"));
    else if (event.kind === "restarted") log("info", `${peer} has restarted`, of("link.restarted"));
    else if (event.kind === "refused") log("warn", event.message, of("link.refused", event.code));
    else if (event.kind === "handlerFailed") {
      log("warn", event.error.message, {
        ...of("link.handler_failed", event.error.code),
        migration: event.migrationId,
      });
    }
  });

  function of(event: string, code: string | null = null): LogContext {
    return { event, fields: { peer, code } };
  }
}
