import { isDeepStrictEqual } from "node:util";
import { ENDED_STATES, type MigrationReport } from "../../migration/report.ts";
import {
  type DestinationEvent,
  type DestinationState,
  nextDestinationState,
  replayDestination,
} from "../../migration/destination/state.ts";
import {
  nextSourceState,
  replaySource,
  type SourceEvent,
  type SourceState,
} from "../../migration/source/state.ts";
import type { SiteName } from "./fault_plan.ts";
import type { Effect } from "./guest.ts";
import type { Written } from "./ledger.ts";
import type { EndCause, MachineWatch, SimMachine } from "./machine.ts";
import type { SimProcess } from "./process.ts";
import { GUEST, type Site } from "./site.ts";
import type { World } from "./world.ts";

/** Words of a log line that tell of a defect, not of a fault. */
const DEFECT = /\b(?:InvariantError|TypeError|RangeError|ReferenceError)\b/;

/** States after which nothing comes by itself. */
const ENDS: ReadonlySet<(SourceState | DestinationState)["kind"]> = new Set([
  "completed",
  "failed",
  "cancelled",
  "seeded",
  "running",
  "abandoned",
  "conflict",
]);

/** One end of a migration, as its ledger was told. */
interface Followed {
  readonly side: "source" | "destination";
  state: SourceState | DestinationState;
}

/** The rules that must never break (design, section 3), looked at from outside of both gateways. */
export class Checks implements MachineWatch {
  /** The machine that ran last: what it holds is the state that must not be lost. */
  truth: SimMachine | null = null;
  /** A fault has ended the only good copy. */
  isLost = false;
  /** An operator decided unseen, so that what he vouched for is his. */
  excusedBy: string | null = null;
  /** The site that he gave the machine to. */
  #excusedFor: Site | null = null;
  readonly #machines: SimMachine[] = [];
  readonly #reports = new WeakMap<SimProcess, Map<string, MigrationReport>>();
  readonly #followed = new Map<string, Followed>();
  readonly #epochs = new Map<number, { readonly by: string; readonly owner: string | null }[]>();
  readonly #highest = new Map<SiteName, number>();

  constructor(private readonly world: World) {}

  get somebodyRuns(): boolean {
    return this.running.length > 0;
  }

  get running(): SimMachine[] {
    return this.#machines.filter(({ runState }) => runState === "running");
  }

  /**
   * From here on the operator answers for who runs the machine and with what state.
   *
   * @param site that he gave it to, if he did
   */
  excuse(by: string, site: Site | null = null): void {
    this.world.trace("-", `excused: ${by}`);
    this.excusedBy = by;
    this.#excusedFor = site;
    if (site?.machine?.isGone !== false) return;
    this.truth = site.machine;
    this.isLost = false;
  }

  /** Everything has come to an end: from here on nobody is excused. */
  excuseNobody(): void {
    this.excusedBy = null;
    this.#excusedFor = null;
  }

  trace(site: string, what: string, detail?: unknown): void {
    this.world.trace(site, what, detail);
  }

  // --- machines ----------------------------------------------------------------------------------

  runs(machine: SimMachine): void {
    if (!this.#machines.includes(machine)) this.#machines.push(machine);
    const other = this.running.find((each) => each !== machine);
    if (this.excusedBy === null) {
      if (other) this.#fail("two owners", `${machine.name} starts while ${other.name} runs`);
      else if (this.truth !== null && this.truth !== machine && !this.isLost) {
        this.#requireSame(machine, "starts");
      }
    }
    if (this.#excusedFor !== null && this.#excusedFor.name !== machine.site) return;
    this.truth = machine;
    this.isLost = false;
  }

  ends(machine: SimMachine, cause: EndCause): void {
    if (!this.#isGood(machine)) return;
    const others = this.#machines.filter((each) => each !== machine && this.#isGood(each));
    const next = others.at(0);
    if (next !== undefined) {
      if (machine === this.truth) this.truth = next;
      return;
    }
    this.isLost = true;
    if (cause === "gateway" && this.excusedBy === null) {
      this.#fail("last good copy", `${machine.name} is ended and no other has its state`);
    }
  }

  /** A machine has arrived: from now on it may be a good copy. */
  #isGood(machine: SimMachine): boolean {
    if (machine.isGone) return false;
    if (machine === this.truth) return true;
    return machine.hasArrived && this.truth !== null && machine.differenceFrom(this.truth) === null;
  }

  #requireSame(machine: SimMachine, what: string): void {
    const difference = machine.differenceFrom(this.truth!);
    if (difference !== null) {
      const detail = `${machine.name} ${what}, but differs from ${this.truth!.name}: ${difference}`;
      this.#fail("other state", detail);
    } else if (machine.disks.some(({ image }) => !image.isFlushed)) {
      this.#fail("not durable", `${machine.name} ${what} on writes that are not on storage`);
    }
  }

  // --- effects and their records -----------------------------------------------------------------

  effect(site: Site, effect: Effect, machine: SimMachine): void {
    if (effect === "load" && !this.#machines.includes(machine)) this.#machines.push(machine);
    if (this.excusedBy !== null || !this.world.checksOrder) return;
    const { source, destination } = this.#latest(site);
    const refuse = (why: string) => this.#fail("effect before its record", `${effect}: ${why}`);
    const owner = site.ledger.ownership(GUEST)?.owner ?? null;
    switch (effect) {
      case "runAtSource": {
        const kinds: readonly SourceState["kind"][] = [
          "handedOver",
          "retiring",
          "conflict",
          "completed",
        ];
        if (source && kinds.includes(source.kind)) refuse(`the source is ${source.kind}`);
        return;
      }
      case "runAtDestination":
        if (owner !== site.name) refuse(`the ledger names ${owner} as the owner`);
        else if (destination?.kind !== "owning") refuse(`the destination is ${destination?.kind}`);
        return;
      case "retire":
        if (source?.kind !== "retiring" || owner === site.name) refuse(`the owner is ${owner}`);
        return;
      case "abandon": {
        const kinds: readonly DestinationState["kind"][] = [
          "taking",
          "owning",
          "running",
          "conflict",
        ];
        if (destination && kinds.includes(destination.kind)) {
          refuse(`the destination is ${destination.kind}`);
        }
        return;
      }
      case "load":
        if (destination?.kind !== "taking") refuse(`the destination is ${destination?.kind}`);
        else if (machine.disksAreOpen) refuse("its disks are still open to the gateway");
        return;
    }
  }

  /** A record is durable. */
  written(site: Site, kind: string, { migrationId, event, ownership }: Written): void {
    if (event !== null) {
      this.world.trace(site.name, `ledger ${kind}`, brief(event));
      this.world.count(`event ${kind}`);
      this.#follow(site, migrationId!, event);
      // A new move stands on its own.
      if (kind === "handoverWritten") this.excuseNobody();
      // From here on what somebody decided unseen is his.
      if (kind === "adjudicated" && this.world.operator.isExcusing) this.excuse("a verdict", site);
      this.#requireDone(site, { ...event });
    }
    if (ownership !== null) {
      const { epoch, owner, decidedBy } = ownership;
      this.world.trace(site.name, "ledger owner", { epoch, owner, decidedBy });
      this.#decided(site.name, epoch, owner);
    }
  }

  /** The state of a gateway after an event that it has written. */
  #follow(site: Site, migrationId: string, event: { readonly kind: string }): void {
    const key = `${site.name} ${migrationId}`;
    let followed = this.#followed.get(key);
    if (followed === undefined) {
      const side = "site" in event ? "source" : "destination";
      followed = { side, state: side === "source" ? replaySource([]) : replayDestination([]) };
      this.#followed.set(key, followed);
    }
    try {
      if (event.kind !== "created") {
        followed.state = followed.side === "source"
          ? nextSourceState(followed.state as SourceState, event as SourceEvent)
          : nextDestinationState(followed.state as DestinationState, event as DestinationEvent);
      }
    } catch (error) {
      if (this.world.checksOrder) {
        this.#fail("replay", `${key}: ${error instanceof Error ? error.message : error}`);
      }
    }
    this.world.count(`${followed.side} ${followed.state.kind}`);
  }

  /**
   * What a ledger replays to is the state that its gateway was in. Looked at when a process begins
   * with it and at the end: rows are only added, so what holds for all of them held after each.
   */
  replays(site: Site): void {
    for (const { id, side } of site.ledger.migrations()) {
      const events = site.ledger.events(id) as unknown[];
      if (this.world.isBroken || !this.world.checksOrder) return;
      const replayed = side === "source"
        ? replaySource(events as SourceEvent[])
        : replayDestination(events as DestinationEvent[]);
      const followed = this.#followed.get(`${site.name} ${id}`)?.state;
      if (isDeepStrictEqual(replayed, followed)) continue;
      const detail = `${JSON.stringify(replayed)}, not ${JSON.stringify(followed)}`;
      this.#fail("replay", `${site.name} ${id}: ${detail}`);
    }
  }

  /** What an event says has to be so by then. */
  #requireDone(site: Site, event: Readonly<Record<string, unknown>>): void {
    if (event.kind === "refused") this.#decided(site.name, Number(event.epoch), null);
    if (event.kind === "owned") this.#decided(site.name, Number(event.epoch), site.name);
    if (this.excusedBy !== null) return;
    const { machine } = site;
    if (event.kind === "roundRecorded" && machine?.disks.some(({ image }) => !image.isFlushed)) {
      this.#fail("not durable", "a round is recorded that is not on storage");
    }
    if (event.kind === "undone" && machine?.isGone === false && machine.isHeldBack) {
      this.#fail("held back", `${machine.name} has stayed and may not write as it did before`);
    }
    if (event.kind !== "owned" || machine === null || machine.isGone) return;
    if (!machine.hasArrived) this.#fail("other state", "a machine is owned that is not loaded");
    else if (this.truth !== null) this.#requireSame(machine, "is owned");
    // From the record on it is this one that counts, started or not.
    this.truth = machine;
  }

  /** An epoch is decided once, and what is decided later has a higher one. */
  #decided(by: SiteName, epoch: number, owner: string | null): void {
    if (this.excusedBy !== null) return;
    const highest = this.#highest.get(by) ?? 0;
    if (epoch < highest) this.#fail("epoch", `${by} records epoch ${epoch} after ${highest}`);
    this.#highest.set(by, Math.max(highest, epoch));
    const decided = this.#epochs.get(epoch) ?? [];
    for (const earlier of decided) {
      const isOther = owner !== null && earlier.owner !== null && owner !== earlier.owner;
      const wasRefused = earlier.owner === null && owner === earlier.by;
      if (!isOther && !wasRefused) continue;
      const was = `it was ${earlier.owner ?? "refused"} by ${earlier.by}`;
      this.#fail("epoch", `${by} gives epoch ${epoch} to ${owner}: ${was}`);
    }
    this.#epochs.set(epoch, [...decided, { by, owner }]);
  }

  // --- what gateways say -------------------------------------------------------------------------

  reported(site: SiteName, process: SimProcess, report: MigrationReport): void {
    const reports = this.#reports.get(process) ?? new Map<string, MigrationReport>();
    this.#reports.set(process, reports);
    const before = reports.get(report.id);
    reports.set(report.id, report);
    this.world.count(`report ${report.state}`);
    if (report.error) this.world.count(`error ${report.error.code}`);
    const followed = this.#followed.get(`${site} ${report.id}`)?.state;
    if (followed?.kind === "handedOver" && report.side === "source" && report.progress < 0.999) {
      this.#fail("progress", `${site}: ${report.progress} with everything handed over`);
    }
    if (report.side === "source" && isInDoubt(report)) this.world.faults.inDoubt();
    if (before === undefined) return;
    if (before.state !== report.state) {
      this.world.trace(site, `${report.side} says ${report.state}`, report.phase);
    }
    if (report.progress < before.progress) {
      this.#fail("progress", `${site}: from ${before.progress} to ${report.progress}`);
    }
    const wasEnded = ENDED_STATES.includes(before.state) && before.state !== report.state;
    // Both ends may give up at the same time; how the move ended is the source's to say.
    const isSourcesWord = report.side === "destination" && before.state === "failed" &&
      (report.state === "cancelled" || report.state === "seeded");
    // A completed move that is being undone shows how far the move back is.
    const isUndone = before.state === "completed" && report.rollback !== null ||
      before.rollback !== null;
    if (wasEnded && report.state !== "conflict" && !isSourcesWord && !isUndone) {
      this.#fail("an end that is none", `${site}: from ${before.state} to ${report.state}`);
    }
  }

  /** The last report that a gateway's process published of a migration; null before any. */
  lastReport(process: SimProcess, id: string): MigrationReport | null {
    return this.#reports.get(process)?.get(id) ?? null;
  }

  logged(site: SiteName, level: string, message: string): void {
    this.world.trace(site, `${level}: ${message}`);
    if (level === "error" && DEFECT.test(message)) this.#fail("defect", `${site}: ${message}`);
  }

  /** A move of this site has not come to its end, by the site's ledger. */
  hasOpenMove({ name }: Site): boolean {
    return [...this.#followed].some(([key, { state }]) =>
      key.startsWith(`${name} `) && !ENDS.has(state.kind)
    );
  }

  #latest(site: Site): { source: SourceState | null; destination: DestinationState | null } {
    let source: SourceState | null = null;
    let destination: DestinationState | null = null;
    for (const [key, { side, state }] of this.#followed) {
      if (!key.startsWith(`${site.name} `)) continue;
      if (side === "source") source = state as SourceState;
      else destination = state as DestinationState;
    }
    return { source, destination };
  }

  #fail(rule: string, detail: string): void {
    this.world.violated(rule, detail);
  }
}

function brief(event: { readonly kind: string }): Record<string, unknown> {
  const { kind: _, ...rest } = event as Record<string, unknown>;
  return rest;
}

/** Handed over, and how that ended is not known. */
export function isInDoubt({ state, phase }: MigrationReport): boolean {
  return state === "inDoubt" || state === "conflict" || phase.startsWith("handed over");
}
