import { type GatewayError, toGatewayError } from "../../core/errors.ts";
import type { GatewayService } from "../../gateway/service.ts";
import type { GuestDefinition } from "../../guest/definition.ts";
import { type MigrationOptions, migrationOptions } from "../../migration/options.ts";
import { ENDED_STATES, type MigrationState } from "../../migration/report.ts";
import type { Dice } from "./dice.ts";
import { changesOf, optionsOf } from "./wishes.ts";
import { isInDoubt } from "./checks.ts";
import type { FaultKind } from "./fault_plan.ts";
import { SimProcess } from "./process.ts";
import type { OperatorShape } from "./shape.ts";
import { GUEST, type Site } from "./site.ts";
import type { World } from "./world.ts";

const BY = "operator";
/** An answer of the API that takes longer never comes. */
const ANSWER_LIMIT_MS = 200_000;
const LOOK_MS = 300;
/** What does not end by itself: after this long the operator does what its hint says. */
const PATIENCE_MS = { switchover: 4_000, verdict: 40_000 };

type Answer<T> = { readonly value: T } | { readonly error: GatewayError } | null;

/** The person at both sites: registers, moves, interferes, and in the end tidies up. */
export class Operator {
  isDone = false;
  /** Neither this process nor its clock has faults. */
  readonly #process: SimProcess;
  readonly #dice: Dice;
  /** The last move that was completed and not undone. */
  #completed: { readonly id: string; readonly from: Site; readonly to: Site } | null = null;
  #current: { readonly id: string; readonly from: Site; readonly to: Site } | null = null;
  #isExcusing = false;
  #standsStill: boolean;

  constructor(private readonly world: World, private readonly shape: OperatorShape) {
    const { schedule, dice } = world;
    this.#dice = dice;
    this.#standsStill = shape.pausesMachine;
    this.#process = new SimProcess({
      schedule,
      wallMs: () => schedule.nowMs,
      latenessMs: () => 0,
      firstMs: 0,
    });
  }

  /** The machine is to stand still, wherever it is. */
  get standsStill(): boolean {
    return this.#standsStill;
  }

  start(): void {
    this.#run().then(() => {
      this.isDone = true;
    }, (error) => this.world.violated("operator", error instanceof Error ? error.stack! : error));
  }

  /** Does something to the present move. @returns false where that has no meaning now */
  acts(kind: FaultKind): boolean {
    const current = this.#current;
    const service = current?.from.service ?? null;
    if (current === null || service === null) return false;
    const { id, from, to } = current;
    switch (kind) {
      case "cancel":
      case "rollback":
      case "hold":
      case "switchover":
        void this.#ask(from, () => service[kind](id), kind);
        return true;
      case "change":
        void this.#ask(from, () => service.change(id, changesOf(this.#dice)), kind);
        return true;
      case "answer": {
        const accept = this.#dice.chance(0.5);
        void this.#ask(from, () => service.answer(id, { accept }), kind);
        return true;
      }
      case "rashVerdict":
      case "fencedVerdict":
        if (!service.migrations().some((report) => report.id === id && isInDoubt(report))) {
          return false;
        }
        void this.#decides(from, to, id, kind === "fencedVerdict");
        return true;
      default:
        return false;
    }
  }

  /** An event of the ledger says that somebody's word decides from here on. */
  get isExcusing(): boolean {
    return this.#isExcusing;
  }

  /** Where everything stands, for a run that does not end. */
  describe(): string {
    const { sites, checks } = this.world;
    const lines = Object.values(sites).map((site) => {
      const { service, machine } = site;
      const reports = service?.migrations().map((report) =>
        `${report.side} ${report.state} "${report.phase}"`
      );
      return `${site.name}: machine ${machine?.name ?? "none"} ${machine?.runState ?? ""}; ` +
        `${reports?.join(", ") ?? "no gateway"}`;
    });
    const running = checks.running.map(({ name }) => name).join(", ") || "nobody";
    return `${running} runs; ${lines.join("; ")}${checks.isLost ? "; lost" : ""}`;
  }

  async #run(): Promise<void> {
    const { a, b } = this.world.sites;
    await this.#registers(a, "source");
    await this.#registers(b, "incoming");
    if (this.shape.pausesMachine) a.machine?.stop();
    while (!this.world.isCalm) await this.#oneMove();
    await this.#settles();
    this.world.checks.excuseNobody();
    if (this.shape.movesAtEnd && !this.world.checks.isLost) await this.#lastMove();
  }

  async #registers(site: Site, role: "source" | "incoming"): Promise<void> {
    for (;;) {
      const { machine } = site;
      const isThere = machine !== null && !machine.isGone;
      const waits = isThere && (role === "source" || machine.runState === "incoming");
      // One that the gateway launches is started by its registration.
      if (!waits && !site.launches) site.newMachine(role);
      const definition = site.definition(role);
      const answer = await this.#ask(site, (s) => s.putGuest(GUEST, definition), "putGuest");
      if (answer !== null && "value" in answer) return;
      if (answer !== null && answer.error.code === "guest_moving") return;
      // A gateway that died between both has started the machine and not registered it so.
      const isLeft = answer?.error.code === "guest_exists" && role === "incoming" &&
        site.machine?.runState === "incoming";
      if (isLeft) await this.#ask(site, (s) => s.deleteGuest(GUEST, true), "deleteGuest");
      if (this.world.checks.isLost) return;
      await this.#process.pause(LOOK_MS);
    }
  }

  /** @returns false where the machine that is there must stay */
  async #waitsAt(site: Site): Promise<boolean> {
    const { checks } = this.world;
    const { machine } = site;
    if (machine !== null && !machine.isGone) {
      if (machine === checks.truth || machine.runState === "running") return false;
      const isFresh = machine.runState === "incoming" && !machine.disksAreOpen;
      if (!isFresh) {
        const removed = await this.#ask(site, (s) => s.deleteGuest(GUEST, true), "deleteGuest");
        if (removed === null || "error" in removed) {
          if (removed !== null && removed.error.code !== "guest_unknown") return false;
          if (removed === null) return false;
          machine.end("operator", { flushes: true });
        }
      }
    }
    await this.#registers(site, "incoming");
    return true;
  }

  async #oneMove(): Promise<void> {
    const { world } = this;
    await this.#process.pause(this.#dice.nextRatio() ** 2 * 2_000);
    const from = this.#home();
    if (from === null || world.isCalm) return;
    const to = this.#other(from);
    if (from.service === null || to.service === null) return;
    const undone = this.#completed;
    const isUndoing = undone?.to === from && this.#dice.chance(this.shape.rollbackRatio);
    // A machine that the gateway starts is started by it for the way home.
    const comesBack = isUndoing && to.launches && this.#dice.chance(0.7);
    if (!comesBack && !await this.#waitsAt(to)) return;
    const id = isUndoing
      ? await this.#rollsBack(undone)
      : await this.#starts(from, to, this.#options());
    if (id === null) return;
    let end = null;
    while (!world.isCalm && end === null) {
      await this.#process.pause(LOOK_MS);
      end = await this.#endOf(from, id);
      this.#mayAnswer(from, id);
    }
    this.#completed = end === "completed" ? { id, from, to } : null;
    this.#current = null;
  }

  /** Somebody reads the question of a move in his own time. */
  #mayAnswer(site: Site, id: string): void {
    const { service, process } = site;
    const report = process && this.world.checks.lastReport(process, id);
    if (service === null || !report?.question || !this.#dice.chance(0.1)) return;
    const accept = this.#dice.chance(0.8);
    void this.#ask(site, () => service.answer(id, { accept }), "answer");
  }

  /** A completed move is undone by another one, which either site can be asked for. */
  async #rollsBack(
    { id, from, to }: { readonly id: string; readonly from: Site; readonly to: Site },
  ): Promise<string | null> {
    const asked = this.#dice.pick([from, to]);
    const answer = await this.#ask(asked, (service) => service.rollback(id), "rollback");
    if (answer === null || "error" in answer || answer.value.rollback === null) return null;
    const { migration } = answer.value.rollback;
    this.#current = { id: migration, from: to, to: from };
    this.world.count("strategy rollback");
    return migration;
  }

  async #starts(from: Site, to: Site, options: MigrationOptions): Promise<string | null> {
    const answer = await this.#ask(
      from,
      (service) => service.startMigration({ guest: GUEST, to: to.name, options }),
      "start",
    );
    if (answer === null || "error" in answer) return null;
    const { id } = answer.value;
    this.#current = { id, from, to };
    this.world.count(`strategy ${options.strategy}`);
    return id;
  }

  #options(): MigrationOptions {
    return migrationOptions.parse(this.shape.options ?? optionsOf(this.#dice));
  }

  /**
   * How a move ended; null while it has not. As the reports said; a gateway that has restarted since
   * is asked.
   */
  async #endOf(site: Site, id: string): Promise<MigrationState | "unknown" | null> {
    const { service, process } = site;
    if (service === null || process === null) return null;
    let report = this.world.checks.lastReport(process, id);
    if (report === null) {
      const answer = await this.#ask(site, (service) => service.migration(id), "migration");
      if (answer === null) return null;
      // The other side has taken the offer, and this one could not record it.
      if ("error" in answer) return "unknown";
      report = answer.value;
    }
    return ENDED_STATES.includes(report.state) ? report.state : null;
  }

  /** Where the machine is, if it is anywhere. */
  #home(): Site | null {
    const { checks, sites } = this.world;
    const { truth } = checks;
    return truth === null || truth.isGone ? null : truth.site === "a" ? sites.a : sites.b;
  }

  #other(site: Site): Site {
    const { a, b } = this.world.sites;
    return site === a ? b : a;
  }

  /** The faults are over: helps where only a person can, until everything has ended. */
  async #settles(): Promise<void> {
    const { schedule } = this.world;
    const sinceMs = schedule.nowMs;
    let nudgedMs = sinceMs;
    while (!this.#isSettled()) {
      await this.#process.pause(LOOK_MS);
      const ms = schedule.nowMs - sinceMs;
      if (schedule.nowMs - nudgedMs < PATIENCE_MS.switchover) continue;
      nudgedMs = schedule.nowMs;
      await this.#helps(ms);
    }
  }

  async #helps(waitedMs: number): Promise<void> {
    for (const site of Object.values(this.world.sites)) {
      for (const report of site.service?.migrations() ?? []) {
        const { id, side, state } = report;
        if (side === "source" && (state === "copying" || state === "holding")) {
          await this.#ask(site, (service) => service.switchover(id), "switchover");
        }
        if (waitedMs < PATIENCE_MS.verdict) continue;
        if (side === "source" && isInDoubt(report)) {
          this.world.count("verdict at the end");
          // Where the machine never ran at the other site, it is made sure that it never will.
          const { truth } = this.world.checks;
          await this.#decides(site, this.#other(site), id, truth?.site === site.name);
        }
        if (side === "destination" && state === "conflict") await this.#clears(site);
      }
      if (waitedMs >= PATIENCE_MS.verdict) this.#startsAgain(site);
    }
  }

  /**
   * A move that ends only when its machine is reached, which is gone: nobody concludes that from
   * silence. The operator starts another one in its place.
   */
  #startsAgain(site: Site): void {
    const { machine, ledger } = site;
    const { truth, isLost } = this.world.checks;
    const isElsewhere = truth !== null && !truth.isGone && truth.site !== site.name;
    const [guest] = ledger.guests();
    const definition = guest?.definition as GuestDefinition | undefined;
    if (definition === undefined || !("qmp" in definition)) return;
    if (guest.role === "source" && !isLost && !isElsewhere) return;
    if (!this.world.checks.hasOpenMove(site)) return;
    if (machine?.isGone === false) {
      // One that waits behind another monitor is in nobody's way, and of no use here.
      const isOther = machine.monitor !== definition.qmp && machine.runState === "incoming";
      if (!isOther || machine === truth) return;
      machine.end("operator", { flushes: true });
    }
    this.world.count("started again at the end");
    // Where it lives at the other site, this one only has to be seen to stand still.
    const role = isElsewhere ? "incoming" : guest.role;
    if (role === "source") this.#standsStill = false;
    site.newMachine(role, definition.qmp);
  }

  /** What was stopped in a conflict is removed once the other side has the machine. */
  async #clears(site: Site): Promise<void> {
    const { checks } = this.world;
    const { machine } = site;
    if (machine === null || machine.isGone || machine.runState === "running") return;
    if (machine === checks.truth && checks.excusedBy === null) return;
    if (!checks.running.some((each) => each !== machine)) return;
    await this.#ask(site, (service) => service.deleteGuest(GUEST, true), "deleteGuest");
  }

  /**
   * Gives the machine to the source of a move in doubt.
   *
   * @param fenced the other side was made sure of first; otherwise the operator takes it on himself
   */
  async #decides(from: Site, to: Site, id: string, fenced: boolean): Promise<void> {
    const { checks } = this.world;
    if (fenced) {
      to.crash(8_000);
      to.machine?.end("operator");
    }
    const hasRunThere = checks.truth?.site === to.name;
    this.#isExcusing = !fenced || hasRunThere;
    await this.#ask(
      from,
      (service) =>
        service.adjudicate(id, { owner: from.name, reason: "decided", force: true, by: BY }),
      fenced ? "fencedVerdict" : "rashVerdict",
    );
    this.#isExcusing = false;
  }

  /** Every move has ended at both sites, and the machine is where both say. */
  #isSettled(): boolean {
    const { checks } = this.world;
    const { running } = checks;
    const haveEnded = () =>
      Object.values(this.world.sites).every((site) =>
        site.service !== null && !checks.hasOpenMove(site)
      );
    if (checks.isLost) return running.length === 0 && haveEnded();
    const home = this.#home();
    if (home === null || running.length !== (this.#standsStill ? 0 : 1)) return false;
    // Whatever a move took from the machine it has again.
    if (checks.truth!.isHeldBack) return false;
    if (this.#standsStill && checks.truth!.runState !== "paused") return false;
    return haveEnded() && this.#recordsAgree(home);
  }

  /** The highest epoch that names an owner, in either ledger, names the site of the machine. */
  #recordsAgree(home: Site): boolean {
    const records = Object.values(this.world.sites)
      .flatMap((site) => site.ledger.ownershipHistory(GUEST))
      .filter(({ owner }) => owner !== null);
    const highest = Math.max(...records.map(({ epoch }) => epoch));
    return records.every(({ epoch, owner }) => epoch < highest || owner === home.name);
  }

  /** Whatever was before, the machine can move now. */
  async #lastMove(): Promise<void> {
    const { world } = this;
    const from = this.#home()!;
    const to = this.#other(from);
    for (;;) {
      await this.#process.pause(LOOK_MS);
      const id = await this.#waitsAt(to)
        ? await this.#starts(from, to, migrationOptions.parse({ maxDowntimeMs: 3_000 }))
        : null;
      if (id === null) continue;
      let end = null;
      while (end === null) {
        await this.#process.pause(LOOK_MS);
        end = await this.#endOf(from, id);
      }
      if (end !== "completed") {
        const { error } = from.service!.migration(id);
        return world.violated("no move afterwards", `${end}: ${error?.message}`);
      }
      break;
    }
    while (!this.#isSettled()) await this.#process.pause(LOOK_MS);
    if (this.#home() !== to) world.violated("no move afterwards", this.describe());
    world.count("moved at the end");
  }

  /** One call of the API: null where its gateway ended before the answer. */
  #ask<T>(
    site: Site,
    act: (service: GatewayService) => Promise<T> | T,
    name: string,
  ): Promise<Answer<T>> {
    const { service, process } = site;
    if (service === null || process === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      let isAnswered = false;
      const answer = (given: Answer<T>) => {
        if (isAnswered) return;
        isAnswered = true;
        if (given !== null && "error" in given) {
          this.world.count(`refused ${given.error.code}`);
          this.world.trace(site.name, `${name}: ${given.error.code}`, given.error.message);
        } else this.world.trace(site.name, `${name}: ${given === null ? "no answer" : "done"}`);
        resolve(given);
      };
      process.onEnd(() => answer(null));
      this.world.schedule.at(ANSWER_LIMIT_MS, () => {
        if (isAnswered || process.isOver) return false;
        this.world.violated("no end", `${site.name} never answers ${name}`);
      });
      Promise.resolve().then(() => act(service)).then(
        (value) => answer({ value }),
        (error) => process.isOver ? answer(null) : answer({ error: toGatewayError(error) }),
      );
    });
  }
}
