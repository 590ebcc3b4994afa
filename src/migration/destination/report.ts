import { migrationOptions } from "../options.ts";
import {
  type MigrationReport,
  type MigrationState,
  noSavedBytes,
  nothingForeseen,
  wishesShown,
} from "../report.ts";
import type { DestinationState } from "./state.ts";

/**
 * The report as the destination serves it: the source's last one, with what this end knows better on
 * top. Everything of the source's is shown, nothing of it is believed.
 */
export function destinationReport(known: {
  readonly stored: {
    readonly id: string;
    readonly guestId: string;
    readonly peer: string;
    readonly options: Record<string, unknown>;
    readonly createdAt: string;
  };
  readonly site: string;
  readonly state: DestinationState;
  readonly epoch: number;
  readonly sourceReport: Record<string, unknown> | null;
  /** The source has not told yet how the move ended for it: its figures are not the last ones. */
  readonly unconfirmed?: boolean;
  /** Neither can this end run the machine, nor learn whether the source does. */
  readonly inDoubt?: boolean;
  /** It ended a seeding run. */
  readonly seeded?: boolean;
  /** `partialCopies` of its events. */
  readonly partialCopies: readonly string[];
}): MigrationReport {
  const { stored, site, state, epoch } = known;
  const shown = (known.sourceReport ?? {}) as Partial<MigrationReport>;
  const mine = known.inDoubt
    ? "inDoubt"
    : known.unconfirmed && state.kind === "running"
    ? "switching"
    : ownState(state, known.seeded ? "seeded" : shown.state);
  const here = state.kind === "owning" || state.kind === "running";
  const knowsBetter = here || known.inDoubt || state.kind === "taking" || state.kind === "conflict";
  return {
    ...blank(stored),
    ...shown,
    id: stored.id,
    guest: stored.guestId,
    from: stored.peer,
    to: site,
    side: "destination",
    state: mine,
    phase: knowsBetter ? ownPhase(state, known.inDoubt) : shown.phase ?? ownPhase(state),
    owner: here ? site : stored.peer,
    epoch: here ? epoch : state.kind === "conflict" ? state.epoch : shown.epoch ?? epoch - 1,
    machine: here
      ? {
        site,
        runState: state.kind === "running"
          ? state.run ? "running" : "paused"
          : known.inDoubt
          ? "gone"
          : "paused",
      }
      : state.kind === "conflict"
      ? { site, runState: "paused" }
      : shown.machine ?? { site: stored.peer, runState: "running" },
    // Asked and answered at the source; what it last sent of it is no question any more here.
    question: state.kind === "accepted" || state.kind === "receiving"
      ? shown.question ?? null
      : null,
    leftovers: state.kind === "refused" || state.kind === "abandoned"
      ? [...known.partialCopies]
      : shown.leftovers ?? [],
    error: (state.kind === "refused" || state.kind === "abandoned")
      ? shown.error ?? (mine !== "failed" ? null : state.error)
      : shown.error ?? null,
  };
}

function ownState(state: DestinationState, source: MigrationState | undefined): MigrationState {
  switch (state.kind) {
    case "accepted":
      return source ?? "preparing";
    case "receiving":
      return source ?? "copying";
    case "taking":
    case "owning":
      return "switching";
    case "running":
      return "completed";
    case "refused":
      return source === "cancelled" || source === "seeded" ? source : "failed";
    case "abandoned":
      if (source === "seeded") return source;
      return state.error === null || source === "cancelled" ? "cancelled" : "failed";
    case "conflict":
      return "conflict";
  }
}

function ownPhase(state: DestinationState, inDoubt = false): string {
  if (inDoubt) {
    return state.kind === "owning"
      ? "the machine ended as it was started here; only an operator can end this"
      : "the source is out of reach and may have handed the machine over, which is not whole here";
  }
  switch (state.kind) {
    case "accepted":
      return "waiting for the source to begin";
    case "receiving":
      return "receiving";
    case "taking":
      return "applying the last frames and loading the machine";
    case "owning":
      return "starting the machine";
    case "running":
      return "the machine runs here";
    case "refused":
    case "abandoned":
      return "ended";
    case "conflict":
      return state.reason;
  }
}

function blank(
  stored: { readonly options: Record<string, unknown>; readonly createdAt: string },
): Omit<
  MigrationReport,
  | "id"
  | "guest"
  | "from"
  | "to"
  | "side"
  | "state"
  | "phase"
  | "owner"
  | "epoch"
  | "machine"
  | "error"
> {
  const options = migrationOptions.parse(stored.options);
  return {
    strategy: options.strategy,
    startedAt: stored.createdAt,
    endedAt: null,
    totalMs: null,
    downtimeMs: null,
    ...nothingForeseen(),
    ...wishesShown(options),
    progress: 0,
    etaMs: null,
    memory: { totalBytes: 0, remainingBytes: null, dirtyBytesPerSecond: null },
    disks: [],
    rounds: [],
    wireBytes: { memory: 0, disk: 0, control: 0, total: 0 },
    savedBytes: noSavedBytes(),
    decisions: [],
    findings: [],
    opaqueReason: null,
    opaqueBytes: 0,
    repairs: 0,
    leftovers: [],
  };
}
