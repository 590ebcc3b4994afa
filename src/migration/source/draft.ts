import { type Clock, timestamp } from "../../core/clock.ts";
import type { Finding, GuestDescription, MemoryProgress } from "../../guest/guest.ts";
import type { PeerLink } from "../../link/peer_link.ts";
import type { Forecast, Question } from "../control/action.ts";
import { fixedCap } from "../fixed_cap.ts";
import type { MigrationOptions } from "../options.ts";
import {
  type Convergence,
  type Decision,
  type DiskReport,
  type MigrationReport,
  type MigrationState,
  nothingForeseen,
  type OpenQuestion,
  type RoundReport,
  type Throttle,
  wishesShown,
} from "../report.ts";
import type { SourceState } from "./state.ts";
import { TrafficMeter } from "../traffic.ts";

/** Decisions kept in a report; a held move may make them for days. */
const DECISIONS_KEPT = 500;
const ROUNDS_KEPT = 1000;
/** A peer that is silent for this long after a hand-over leaves the source in doubt. */
const DOUBT_AFTER_SILENT_MS = 3000;

/** While held a machine passes several times a second: shorter passes are one round. */
const ROUND_SHOWN_MS = 500;

interface Identity {
  readonly id: string;
  readonly guest: string;
  readonly from: string;
  readonly to: string;
}

/**
 * What the source knows of its migration for people: gathered while the actor works, rendered as the
 * contract's report. Nothing here decides anything.
 */
export class ReportDraft {
  phase = "checking both machines";
  epoch = 0;
  owner: string;
  downtimeMs: number | null = null;
  predictedDowntimeMs: number | null = null;
  /** Of a switch that began now. */
  forecast: Forecast | null = null;
  leadMs: number | null = null;
  convergence: Convergence | null = null;
  throttle: Throttle = nothingForeseen().throttle;
  /** The cap in force, of the wish itself or as its policy has found it. */
  rateBytesPerSecond: number | null;
  endedAtWallMs: number | null = null;
  runState: "running" | "paused" | "gone" = "running";
  /** Stop-and-copy: the machine stands still and the copy goes on, which is not the switch yet. */
  copyingPaused = false;
  findings: readonly Finding[] = [];
  memoryProgress: MemoryProgress | null = null;
  memoryTotalBytes = 0;
  opaqueReason: string | null = null;
  opaqueBytes = 0;
  leftovers: string[] = [];
  /** Times that the destination had got pages wrong and was sent them whole. */
  repairs = 0;
  readonly memory = new TrafficMeter();
  readonly disk = new TrafficMeter();
  readonly rounds: RoundReport[] = [];
  readonly decisions: Decision[] = [];
  #question: OpenQuestion | null = null;
  #disks: DiskReport[] = [];
  #earlierRoundsBytes = 0;
  #progress = 0;
  /** Of the processes before this one. */
  #earlierWire: MigrationReport["wireBytes"] = { memory: 0, disk: 0, control: 0, total: 0 };
  #eta: { atMs: number; doneBytes: number } | null = null;
  readonly #startedWallMs: number;
  readonly #startedMs: number;

  constructor(
    private readonly identity: Identity,
    readonly options: MigrationOptions,
    private readonly clock: Clock,
    startedWallMs?: number,
  ) {
    this.owner = identity.from;
    this.rateBytesPerSecond = fixedCap(options.rate);
    this.#startedWallMs = startedWallMs ?? clock.wallMs();
    this.#startedMs = clock.nowMs();
  }

  describe(description: GuestDescription): void {
    this.memoryTotalBytes = description.memoryBytes;
    this.#disks = description.disks.map((disk) => ({
      id: disk.id,
      totalBytes: disk.sizeBytes,
      allocatedBytes: null,
      remainingBytes: null,
      verifiedBytes: 0,
    }));
    this.runState = description.runState === "running" ? "running" : "paused";
  }

  /** Goes on from a report that an earlier process of this gateway kept. */
  resumeFrom(kept: MigrationReport): void {
    this.rounds.push(...kept.rounds);
    this.decisions.push(...kept.decisions);
    this.findings = kept.findings as Finding[];
    this.memoryTotalBytes = kept.memory.totalBytes;
    this.#disks = kept.disks.map((disk) => ({ ...disk }));
    this.predictedDowntimeMs = kept.predictedDowntimeMs;
    // Reports that an older version kept have neither.
    this.forecast = kept.forecast ?? null;
    this.convergence = kept.convergence ?? null;
    this.opaqueReason = kept.opaqueReason;
    this.opaqueBytes = kept.opaqueBytes;
    this.repairs = kept.repairs;
    this.#progress = kept.progress;
    this.#earlierWire = kept.wireBytes;
    this.memory.resumeFrom(kept.savedBytes);
  }

  decide(action: string, reason: string, numbers: Decision["numbers"]): void {
    this.decisions.push({ at: this.#now(), action, reason, numbers });
    if (this.decisions.length > DECISIONS_KEPT) this.decisions.shift();
  }

  /** What the operator is asked now. */
  get question(): OpenQuestion | null {
    return this.#question;
  }

  /**
   * Asks the operator. A question that is open already was asked when it was, whatever it wants now.
   *
   * @param reason why the pause does not fit, in words
   */
  ask({ kind, wantedDowntimeMs }: Question, reason: string): void {
    this.#question = {
      kind,
      askedAt: this.#question?.askedAt ?? this.#now(),
      wantedDowntimeMs,
      text: `May ${this.identity.guest} pause for ${wantedDowntimeMs} ms instead of ` +
        `${this.options.maxDowntimeMs}? ${reason}`,
    };
  }

  /** It was answered, or need not be asked any more. */
  withdrawQuestion(): void {
    this.#question = null;
  }

  beginRound(kind: RoundReport["kind"], remainingBytes: number | null): RoundReport {
    const round: RoundReport = {
      number: (this.rounds.at(-1)?.number ?? 0) + 1,
      kind,
      startedAt: this.#now(),
      sentBytes: 0,
      remainingBytes,
      durationMs: null,
    };
    this.rounds.push(round);
    if (this.rounds.length > ROUNDS_KEPT) this.rounds.shift();
    return round;
  }

  /** The machine's own account of its memory; a pass that took a while becomes a round. */
  noteMemory(progress: MemoryProgress): void {
    const before = this.memoryProgress?.pass ?? 1;
    this.memoryProgress = progress;
    const last = this.rounds.findLast((round) => round.kind === "memory");
    if (!last) return;
    last.remainingBytes = progress.remainingBytes;
    last.sentBytes = Math.max(0, this.memory.rawBytes - this.#earlierRoundsBytes);
    const lastedMs = this.clock.wallMs() - Date.parse(last.startedAt);
    if (progress.pass <= before || lastedMs < ROUND_SHOWN_MS) return;
    last.durationMs = lastedMs;
    this.#earlierRoundsBytes += last.sentBytes;
    this.beginRound("memory", progress.remainingBytes);
  }

  /** What has not been handed to the link of the round that runs, by disk. */
  diskRemaining(): Map<string, number> {
    return new Map(this.#disks.map(({ id, remainingBytes }) => [id, remainingBytes ?? 0]));
  }

  /** A disk round starts: `dataBytes` must cross for this disk. */
  diskPlanned(diskId: string, dataBytes: number, first: boolean): void {
    const disk = this.#disk(diskId);
    disk.remainingBytes = dataBytes;
    if (first) disk.allocatedBytes = dataBytes;
  }

  /** So much of the round was handed to the link, or need not travel. */
  diskPassed(diskId: string, dataBytes: number): void {
    const disk = this.#disk(diskId);
    disk.remainingBytes = Math.max(0, (disk.remainingBytes ?? 0) - dataBytes);
  }

  /** The destination has recorded a round of this disk. */
  diskVerified(diskId: string, bytes: number): void {
    const disk = this.#disk(diskId);
    disk.verifiedBytes = Math.min(disk.totalBytes, disk.verifiedBytes + bytes);
  }

  render(
    state: SourceState,
    holding: boolean,
    link: Pick<PeerLink, "state" | "path"> & { wireBytes: MigrationReport["wireBytes"] },
  ): MigrationReport {
    const now = this.clock.nowMs();
    const reported = reportedState(state, holding, this.copyingPaused, link);
    const { zero, free } = this.memory.saved;
    const done = this.memory.rawBytes + this.disk.rawBytes + zero + free;
    const remaining = this.#remainingBytes();
    if (state.kind === "completed") this.#progress = 1;
    // All has been sent by then, whatever this process has seen of it.
    else if (state.kind === "handedOver" || state.kind === "retiring") this.#progress = 0.999;
    else if (remaining !== null && done + remaining > 0) {
      this.#progress = Math.max(this.#progress, Math.min(0.999, done / (done + remaining)));
    }
    return {
      ...this.identity,
      side: "source",
      strategy: this.options.strategy,
      state: reported,
      phase: this.phase,
      owner: this.owner,
      epoch: this.epoch,
      machine: {
        site: state.kind === "retiring" || state.kind === "completed"
          ? this.identity.to
          : this.identity.from,
        runState: this.runState,
      },
      startedAt: timestamp(this.#startedWallMs),
      endedAt: this.endedAtWallMs === null ? null : timestamp(this.endedAtWallMs),
      totalMs: this.endedAtWallMs === null
        ? Math.round(now - this.#startedMs)
        : Math.round(this.endedAtWallMs - this.#startedWallMs),
      downtimeMs: this.downtimeMs,
      predictedDowntimeMs: this.predictedDowntimeMs,
      forecast: shownForecast(this.forecast),
      convergence: this.convergence &&
        { verdict: this.convergence.verdict, reason: this.convergence.reason },
      ...(isCopying(state)
        ? {
          leadMs: rounded(this.leadMs),
          throttle: { ...this.throttle },
          question: this.#question && { ...this.#question },
        }
        : OVER),
      ...wishesShown(this.options),
      rateBytesPerSecond: this.rateBytesPerSecond,
      progress: this.#progress,
      etaMs: this.#etaMs(state, done, remaining, now),
      memory: {
        totalBytes: this.memoryTotalBytes,
        remainingBytes: state.kind === "completed"
          ? 0
          : this.memoryProgress?.remainingBytes ?? null,
        dirtyBytesPerSecond: this.memoryProgress?.dirtyBytesPerSecond ?? null,
      },
      disks: this.#disks.map((disk) => ({ ...disk })),
      rounds: this.rounds.map((round) => ({ ...round })),
      wireBytes: added(this.#earlierWire, link.wireBytes),
      savedBytes: sumSaved(this.memory, this.disk),
      decisions: [...this.decisions],
      findings: this.findings.map((finding) => ({ ...finding })),
      error: state.kind === "failed"
        ? state.error
        : state.kind === "undoing" && state.end.kind === "failed"
        ? state.end.error
        : null,
      opaqueReason: this.opaqueReason,
      opaqueBytes: this.opaqueBytes,
      repairs: this.repairs,
      leftovers: [...this.leftovers],
      rollback: null,
      adjudication: null,
    };
  }

  #disk(id: string): DiskReport {
    const disk = this.#disks.find((candidate) => candidate.id === id);
    if (!disk) throw new RangeError(`No disk ${id} in this report`);
    return disk;
  }

  #remainingBytes(): number | null {
    const disks = this.#disks.reduce((sum, disk) => sum + (disk.remainingBytes ?? 0), 0);
    const memory = this.memoryProgress?.remainingBytes ?? this.memoryTotalBytes;
    return disks + memory;
  }

  /** Remaining time at the average raw rate since the copy began; null while nothing moved. */
  #etaMs(state: SourceState, done: number, remaining: number | null, now: number): number | null {
    if (state.kind !== "copying" && state.kind !== "switching") return null;
    if (done === 0 || remaining === null) return null;
    this.#eta ??= { atMs: now, doneBytes: done };
    const elapsedMs = now - this.#eta.atMs;
    const moved = done - this.#eta.doneBytes;
    return elapsedMs < 500 || moved <= 0 ? null : Math.round(remaining / moved * elapsedMs);
  }

  #now(): string {
    return timestamp(this.clock.wallMs());
  }
}

/** Of a move that asks and takes nothing any more. */
const OVER = { leadMs: null, throttle: nothingForeseen().throttle, question: null };

function isCopying({ kind }: SourceState): boolean {
  return kind === "preparing" || kind === "copying" || kind === "switching";
}

/** Whole figures; null for one that has no bound, which JSON could not say either. */
function shownForecast(forecast: Forecast | null): Forecast | null {
  if (forecast === null) return null;
  const whole = Object.entries(forecast).map(([name, value]) => [name, Math.round(value)]);
  return whole.every(([, value]) => Number.isFinite(value)) ? Object.fromEntries(whole) : null;
}

function rounded(ms: number | null): number | null {
  return ms === null || !Number.isFinite(ms) ? null : Math.round(ms);
}

function reportedState(
  state: SourceState,
  holding: boolean,
  copyingPaused: boolean,
  link: Pick<PeerLink, "state" | "path">,
): MigrationState {
  switch (state.kind) {
    case "copying":
      return holding ? "holding" : "copying";
    case "switching":
      if (!copyingPaused) return "switching";
      return holding ? "holding" : "copying";
    case "handedOver":
      return link.state === "down" || (link.path().silentMs ?? Infinity) > DOUBT_AFTER_SILENT_MS
        ? "inDoubt"
        : "switching";
    case "retiring":
      return "switching";
    case "undoing":
      return "copying";
    default:
      return state.kind;
  }
}

function added(
  left: MigrationReport["wireBytes"],
  right: MigrationReport["wireBytes"],
): MigrationReport["wireBytes"] {
  return {
    memory: left.memory + right.memory,
    disk: left.disk + right.disk,
    control: left.control + right.control,
    total: left.total + right.total,
  };
}

function sumSaved(...meters: TrafficMeter[]) {
  const sum = { ...meters[0].saved };
  for (const { saved } of meters.slice(1)) {
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += saved[key];
  }
  return sum;
}
