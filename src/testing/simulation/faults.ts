import { GatewayError } from "../../core/errors.ts";
import { type Fault, isVerdict, type SiteName } from "./fault_plan.ts";
import { unreachable } from "./guest.ts";
import type { World } from "./world.ts";

const DISK_CALLS = new Set([
  "destination.writeDisk",
  "destination.zeroDisk",
  "destination.flushDisks",
]);

/** Lets the faults of a plan happen, each at its anchor. */
export class Faults {
  readonly #waiting = new Map<string, Fault[]>();
  readonly #seen = new Map<string, number>();
  /** Nothing is injected any more. */
  isOver = false;
  /** Calls to a machine that fail next, by site. */
  readonly #failing = new Set<SiteName>();
  /** Their anchors have not been reached for so long that they come with whatever is next. */
  #overdue: Fault[] = [];
  readonly #reached = new Set<Fault>();
  /** Verdicts whose moment has come while nothing was in doubt. */
  #verdicts: Fault[] = [];
  /** Those that have not come yet. */
  #left: number;
  /** When the last effect of those that came is over. */
  #overAtMs = 0;

  /** @param onLast is called when nothing of the plan is left and no fault lasts any more */
  constructor(
    private readonly world: World,
    plan: readonly Fault[],
    private readonly onLast: () => void,
  ) {
    this.#left = plan.length;
    for (const fault of plan) {
      const { latestMs } = fault;
      if (latestMs !== undefined) world.schedule.at(latestMs, () => this.#hurry(fault));
    }
    for (const fault of plan) {
      const { anchor } = fault;
      if (anchor.at === "time") {
        world.schedule.at(anchor.ms, () => this.#happen(fault));
      } else {
        const key = `${anchor.at} ${anchor.site} ${anchor.name} ${anchor.phase}`;
        this.#waiting.set(key, [...this.#waiting.get(key) ?? [], fault]);
      }
    }
  }

  /** Around a call to a machine. @throws what the call fails with */
  aroundCall(site: SiteName, name: string, phase: "before" | "after"): void {
    this.#reach(`call ${site} ${name} ${phase}`);
    if (phase === "before" && name.includes("throttle")) this.world.count(`call ${name}`);
    if (phase === "after" || this.isOver) return;
    const { schedule, sites } = this.world;
    const { diskFault } = sites[site];
    if (DISK_CALLS.has(name) && diskFault !== null && diskFault.untilMs > schedule.nowMs) {
      throw new GatewayError(diskFault.code, "Cannot write the disk: the storage refuses", {
        hint: "Look at the storage",
      });
    }
    if (this.#failing.delete(site)) throw unreachable();
  }

  /** Around a durable write. */
  aroundWrite(site: SiteName, kind: string, phase: "before" | "after"): void {
    this.#reach(`write ${site} ${kind} ${phase}`);
  }

  #reach(key: string): void {
    if (this.isOver || this.#left === 0) return;
    for (const fault of this.#overdue.splice(0)) this.#happen(fault);
    const seen = (this.#seen.get(key) ?? 0) + 1;
    this.#seen.set(key, seen);
    for (const fault of this.#waiting.get(key) ?? []) {
      if (fault.anchor.at === "time" || fault.anchor.nth !== seen) continue;
      if (this.#reached.has(fault)) continue;
      this.#reached.add(fault);
      if (fault.delayMs === 0) this.#happen(fault);
      else this.world.schedule.at(fault.delayMs, () => this.#happen(fault));
    }
  }

  /** A source is in doubt: whoever was to decide sees it. */
  inDoubt(): void {
    for (const fault of this.#verdicts.splice(0)) {
      this.world.schedule.at(fault.delayMs, () => this.#happen(fault));
    }
  }

  #hurry(fault: Fault): false {
    if (!this.#reached.has(fault)) {
      this.#reached.add(fault);
      this.#overdue.push(fault);
    }
    return false;
  }

  #happen(fault: Fault): void | false {
    const { world } = this;
    if (this.isOver) return false;
    const isDone = !world.leftOut.has(fault.number) && this.#act(fault);
    if (!isDone && isVerdict(fault.kind)) {
      this.#verdicts.push(fault);
      return false;
    }
    const { nowMs } = world.schedule;
    if (isDone) this.#overAtMs = Math.max(this.#overAtMs, nowMs + fault.lastsMs);
    if (--this.#left === 0) world.schedule.at(this.#overAtMs - nowMs, this.onLast);
    if (!isDone) return false;
    world.count(`fault ${fault.kind}`);
    world.trace("-", `fault ${fault.number}: ${fault.kind}`, {
      site: fault.site,
      lastsMs: Math.round(fault.lastsMs),
    });
  }

  /** @returns false where there was nothing to do it to */
  #act({ kind, site: name, lastsMs }: Fault): boolean {
    const { world } = this;
    const { sites, network, schedule, dice, operator } = world;
    const site = sites[name];
    switch (kind) {
      case "crash":
        return site.crash(lastsMs);
      case "crashBoth":
        return [sites.a.crash(lastsMs), sites.b.crash(lastsMs / 2)].includes(true);
      case "stopGateway":
        return site.stop(lastsMs);
      case "powerLoss":
        site.crash(lastsMs);
        site.machine?.end("fault");
        return true;
      case "killMachine":
        if (site.machine === null || site.machine.isGone) return false;
        site.machine.end("fault");
        return true;
      case "loseMonitor":
        return site.loseMonitors();
      case "breakStream": {
        const stream = site.machine?.outgoing ?? null;
        if (stream === null || stream.isOver) return false;
        stream.break();
        return true;
      }
      case "failCall":
        this.#failing.add(name);
        return true;
      case "diskFull":
      case "diskIo":
        site.diskFault = {
          code: kind === "diskFull" ? "disk_full" : "disk_io",
          untilMs: schedule.nowMs + lastsMs,
        };
        return true;
      case "ledgerFails":
        site.ledgerFailsUntilMs = schedule.nowMs + lastsMs;
        return true;
      case "freeze":
        if (site.process === null) return false;
        site.process.freeze(lastsMs);
        return true;
      case "wallJump":
        site.wallOffsetMs += dice.between(-1, 1) * 7_200_000;
        return true;
      case "cut":
      case "tear":
      case "stall": {
        const connections = network.connections;
        if (connections.length === 0) return false;
        const connection = dice.pick(connections);
        if (kind === "cut") connection.end("cut", dice.pick(["soon", "late", "never"]));
        else if (kind === "tear") connection.tear();
        else connection.stall(lastsMs, dice.pick(["both", "there", "back"]));
        return true;
      }
      case "outageCut":
      case "outageSilent":
        if (network.isOut) return false;
        network.breakPath(kind === "outageCut" ? "cut" : "silent");
        schedule.at(lastsMs, () => this.isOver ? false : network.restorePath());
        return true;
      case "slowPath":
        network.extraDelayMs = dice.between(50, 800);
        schedule.at(lastsMs, () => void (network.extraDelayMs = 0));
        return true;
      case "duplicates":
        network.duplicateRatio = dice.between(0.05, 0.5);
        schedule.at(lastsMs, () => void (network.duplicateRatio = network.shape.duplicateRatio));
        return true;
      case "cancel":
      case "hold":
      case "switchover":
      case "rollback":
      case "change":
      case "answer":
      case "rashVerdict":
      case "fencedVerdict":
        return operator.acts(kind);
      case "startByHand": {
        const { machine } = site;
        // Only one that waits for its end or its start: whoever starts another breaks it alone.
        if (machine === null || !machine.hasArrived || machine.runState !== "paused") return false;
        if (world.checks.somebodyRuns || operator.standsStill) return false;
        world.checks.excuse("somebody started a machine by hand");
        machine.run();
        return true;
      }
    }
  }
}
