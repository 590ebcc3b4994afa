import { Checks } from "./checks.ts";
import { Dice } from "./dice.ts";
import { type Fault, planFaults } from "./fault_plan.ts";
import { Faults } from "./faults.ts";
import type { Mutation } from "./mutation.ts";
import { Network } from "./network.ts";
import { Operator } from "./operator.ts";
import { ProcessEnded } from "./process.ts";
import { drive, Schedule } from "./schedule.ts";
import { type Shape, shapeOf } from "./shape.ts";
import { Site } from "./site.ts";

/** After the last fault everything has to come to an end within this virtual time. */
const END_LIMIT_MS = 300_000;
/** No run needs a tenth of this: something turns in a circle without time passing. */
const STEPS_MAX = 400_000;
const TRACE_KEPT = 60;

export interface WorldOptions {
  readonly seed: number;
  /** Hears each line of what happens; without it only the last ones are kept for a failure. */
  readonly tell?: (line: string) => void;
  /** In place of the faults that the seed draws. */
  readonly plan?: readonly Fault[];
  /** In place of the world that the seed draws. */
  readonly shape?: Shape;
  /** Faults of the plan that are left out, by their number. */
  readonly leftOut?: ReadonlySet<number>;
  /** A deliberate bug. */
  readonly mutation?: Mutation;
  /** False: only what comes of an effect is looked at, not whether its record came first. */
  readonly checksOrder?: boolean;
}

/** A rule that was broken. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
  readonly atMs: number;
}

export interface Outcome {
  readonly seed: number;
  readonly violation: Violation | null;
  /** How often faults, states and codes were seen, by name. */
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  readonly virtualMs: number;
  readonly faultCount: number;
  /** What happened last. */
  readonly lines: readonly string[];
}

/**
 * Two sites with whole gateways, one machine, a WAN and an operator, all in virtual time. The seed
 * decides everything: shapes, workload, delays, faults and when. First faults come and the rules of
 * ownership hold; then they stop and everything has to end.
 */
export class World {
  readonly schedule = new Schedule();
  readonly dice: Dice;
  readonly network: Network;
  readonly checks: Checks;
  readonly faults: Faults;
  readonly operator: Operator;
  readonly sites: Readonly<Record<"a" | "b", Site>>;
  readonly leftOut: ReadonlySet<number>;
  readonly mutation: Mutation;
  readonly checksOrder: boolean;
  readonly #counts = new Map<string, number>();
  readonly #lines: (readonly [number, string, string, unknown])[] = [];
  readonly #horizonMs: number;
  readonly #faultCount: number;
  #violation: Violation | null = null;
  #isCalm = false;
  #calmAtMs = Infinity;
  #steps = 0;
  #machineCount = 0;

  constructor(private readonly options: WorldOptions) {
    const { seed } = options;
    this.leftOut = options.leftOut ?? new Set();
    this.mutation = options.mutation ?? { name: "none" };
    this.checksOrder = options.checksOrder ?? true;
    this.dice = new Dice(seed, "run");
    const shape = options.shape ?? shapeOf(new Dice(seed, "shape"));
    const planned = options.plan ?? planFaults(new Dice(seed, "faults"), shape.horizonMs, seed);
    this.#faultCount = planned.length;
    this.#horizonMs = shape.horizonMs;
    this.network = new Network(
      this.schedule,
      this.dice,
      shape.path,
      (what, detail) => this.trace("-", what, detail),
    );
    this.checks = new Checks(this);
    // A run without faults goes on to its horizon.
    this.faults = new Faults(this, planned, () => this.#calm());
    this.sites = {
      a: new Site("a", this, shape.sites.a),
      b: new Site("b", this, shape.sites.b),
    };
    this.operator = new Operator(this, shape.operator);
    this.trace("-", `seed ${seed}`, { ...shape.path, horizonMs: Math.round(shape.horizonMs) });
    for (const fault of planned) this.trace("-", `plan ${fault.number}: ${fault.kind}`, fault);
  }

  /** No fault comes any more. */
  get isCalm(): boolean {
    return this.#isCalm;
  }

  get isBroken(): boolean {
    return this.#violation !== null;
  }

  async run(): Promise<Outcome> {
    const unpatch = this.mutation.patch?.(this);
    globalThis.addEventListener("unhandledrejection", this.#unhandled);
    try {
      this.schedule.at(this.#horizonMs, () => this.#calm());
      for (const site of Object.values(this.sites)) site.start();
      this.operator.start();
      await drive(() => this.#step());
      for (const site of Object.values(this.sites)) this.checks.replays(site);
      // What nobody has handled is told in the turns of the event loop that follow.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    } finally {
      unpatch?.();
      globalThis.removeEventListener("unhandledrejection", this.#unhandled);
      for (const site of Object.values(this.sites)) {
        site.process?.end();
        site.ledger.close();
      }
    }
    return {
      seed: this.options.seed,
      violation: this.#violation,
      counts: this.#counts,
      steps: this.#steps,
      virtualMs: this.schedule.nowMs,
      faultCount: this.#faultCount,
      lines: this.#lines.map(line),
    };
  }

  violated(rule: string, detail: string): void {
    if (this.#violation !== null) return;
    this.#violation = { rule, detail, atMs: this.schedule.nowMs };
    this.trace("-", `BROKEN ${rule}: ${detail}`);
  }

  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  trace(site: string, what: string, detail: unknown = null): void {
    const entry = [this.schedule.nowMs, site, what, detail] as const;
    if (this.options.tell) return this.options.tell(line(entry));
    this.#lines.push(entry);
    if (this.#lines.length > 2 * TRACE_KEPT) this.#lines.splice(0, TRACE_KEPT);
  }

  newId(): string {
    const hex = () => this.dice.nextUint32().toString(16).padStart(8, "0");
    const [a, b, c, d] = [hex(), hex(), hex(), hex()];
    return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-8${c.slice(0, 3)}-${c.slice(4)}${d}`;
  }

  nextMachineNumber(): number {
    return ++this.#machineCount;
  }

  /** It would end a gateway's process. */
  readonly #unhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const { reason } = event;
    if (!(reason instanceof ProcessEnded)) {
      this.violated("unhandled", String(reason?.stack ?? reason));
    }
  };

  #step(): boolean {
    if (this.#violation !== null || this.operator.isDone) return false;
    this.#steps++;
    if (this.schedule.nowMs > this.#calmAtMs + END_LIMIT_MS) {
      this.violated("no end", this.operator.describe());
    } else if (this.#steps > STEPS_MAX) this.violated("no end", "time stands still");
    else if (!this.#happens()) this.violated("no end", "nothing happens any more");
    return this.#violation === null;
  }

  #happens(): boolean {
    try {
      return this.schedule.step();
    } catch (error) {
      // A process that ended in the middle of it goes no further.
      if (error instanceof ProcessEnded) return true;
      // What is called in no promise, by a timer or a record that comes in, may not throw.
      this.violated("thrown", error instanceof Error ? error.stack ?? error.message : `${error}`);
      return true;
    }
  }

  #calm(): void {
    if (this.#isCalm) return;
    this.#isCalm = true;
    this.#calmAtMs = this.schedule.nowMs;
    this.faults.isOver = true;
    this.network.calm();
    this.trace("-", "faults are over");
    for (const site of Object.values(this.sites)) site.start();
  }
}

/** Runs one seed. */
export function simulate(options: WorldOptions): Promise<Outcome> {
  return new World(options).run();
}

function line([atMs, site, what, detail]: readonly [number, string, string, unknown]): string {
  const text = detail === null || detail === undefined ? "" : ` ${JSON.stringify(detail)}`;
  return `${atMs.toFixed(1).padStart(9)} ${site} ${what}${text}`;
}
