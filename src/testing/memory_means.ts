import { GatewayError } from "../core/errors.ts";
import type { MeansKind } from "../guest/addresses.ts";
import type { Means, Target, Traffic } from "../redirect/means.ts";
import { isRedirected } from "../redirect/means.ts";
import type { Stage } from "../redirect/state.ts";

/** What stands at one site, whoever set it: what a kernel keeps when a gateway dies. */
export class RuleWorld {
  /** By redirect: the rules of its stage. Nothing stands where there is no entry. */
  readonly rules = new Map<string, string>();
  /** Every call, in order. */
  readonly calls: { readonly stage: Stage; readonly side: "old" | "new"; readonly atMs: number }[] =
    [];
  /** Set to have calls of a stage fail with this text. */
  readonly failing = new Map<Stage | "check", string>();
  /** Called inside each apply, before the rules change. */
  inside: (target: Target) => Promise<void> = () => Promise.resolve();
  packets = 0;
}

/** A means whose rules are entries of a `RuleWorld`. */
export class MemoryMeans implements Means {
  constructor(
    private readonly world: RuleWorld,
    readonly kind: MeansKind = "kernel",
  ) {}

  check(): Promise<void> {
    return Promise.resolve().then(() => this.#mayFail("check"));
  }

  async apply(target: Target): Promise<void> {
    const { stage, side, migration } = target;
    this.world.calls.push({ stage, side, atMs: performance.now() });
    await this.world.inside(target);
    this.#mayFail(stage);
    const key = `${this.kind} ${migration} ${side}`;
    if (isRedirected(stage)) this.world.rules.set(key, this.commands(target).join("; "));
    else this.world.rules.delete(key);
  }

  commands({ side, stage, addresses }: Target): string[] {
    if (!isRedirected(stage)) return [];
    return addresses.map(({ ip }) => `${side} ${ip} through ${this.kind}`);
  }

  traffic(): Promise<Traffic> {
    const { packets } = this.world;
    return Promise.resolve({
      addresses: [{
        ip: "10.1.0.5",
        toMachinePackets: packets,
        toMachineBytes: packets * 100,
        fromMachinePackets: 0,
        fromMachineBytes: 0,
      }],
      keptPackets: 0,
      keptBytes: 0,
      droppedPackets: 0,
    });
  }

  letGo(): Promise<void> {
    return Promise.resolve();
  }

  #mayFail(stage: Stage | "check"): void {
    const text = this.world.failing.get(stage);
    if (text === undefined) return;
    throw new GatewayError("redirect_failed", text, { hint: "The test says so" });
  }
}
