import type { GuestWorkload } from "../../src/testing/guest_image/guest_argv.ts";
import type { Arena, SiteName } from "./arena.ts";
import {
  BLOCK_BYTES,
  changedContent,
  contentUnknownTo,
  type Packed,
  PAGE_BYTES,
  wholeContent,
} from "./bound.ts";
import type { Contestant, Cost } from "./contestant.ts";
import { Machine, type MachineOptions, type Snapshot } from "./machine.ts";

export const CASE_NAMES = ["a", "b", "c", "d", "e"] as const;
export type CaseName = typeof CASE_NAMES[number];

export const CASE_TITLES: Readonly<Record<CaseName, string>> = {
  a: "first move under load",
  b: "first move, a hot set rewritten at about the link's rate",
  c: "second machine of the same image, after the first",
  d: "second attempt after a cancelled one",
  e: "return trip",
};

/** The least that had to cross, by what the machine itself held; see bound.ts. */
export interface Bound {
  /** Of what the machine held when the move began. */
  readonly departure: Packed;
  /** Of what the workload changed until the switch. */
  readonly changed: Packed;
}

/** The move that a case is about. */
export interface CaseRun {
  readonly cost: Cost;
  /** Only where the machine was looked into: it stands still for that. */
  readonly bound: Bound | null;
  /** What came before: the first machine's move, the cancelled attempt, the way there. */
  readonly earlier: Cost | null;
  /** What the workload did each second from the beginning of the move to its end. */
  readonly rates: { readonly memory: number; readonly disk: number; readonly hot: number };
  /** The machine's own words on its memory and disk after the move. */
  readonly verified: string;
}

export interface CasePlan {
  readonly size: Omit<MachineOptions, "id" | "workload">;
  /** Without seeds. */
  readonly busy: GuestWorkload;
  readonly hot: GuestWorkload;
  readonly seed: number;
  /** The workload has done so much before a machine moves, and again before it moves on. */
  readonly settled: { readonly memory: number; readonly disk: number; readonly hotPasses: number };
}

export interface CaseWorld {
  readonly arena: Arena;
  readonly contestant: Contestant;
  readonly plan: CasePlan;
  /** Whether machines are looked into before and after the move, for the bound. */
  readonly bounded: boolean;
  /** What the case starts is ended with it. */
  readonly owned: AsyncDisposableStack;
}

/** Seeds of second machines are this far from those of first ones. */
const SEED_STEP = 1_000;

export async function runCase(name: CaseName, world: CaseWorld): Promise<CaseRun> {
  const { contestant, plan } = world;
  const workload = name === "b" ? plan.hot : plan.busy;
  switch (name) {
    case "a":
    case "b":
      return await measured(world, await boot(world, "vm1", workload), "b", wholeContent);
    case "c": {
      // Without a memory of its own QEMU moves the second machine as it would any.
      if (!world.bounded) {
        return await measured(world, await boot(world, "vm2", workload), "b", wholeContent);
      }
      const first = await boot(world, "vm1", workload);
      const { cost, end } = await contestant.move(first, "b");
      const known = await first.snapshot("moved");
      await first.arrivedAt(end);
      await first.verify();
      await first.here.channel.ask("stop-workload");
      const second = await boot(world, "vm2", workload);
      const run = await measured(world, second, "b", (there) => contentUnknownTo(known, there));
      return { ...run, earlier: cost };
    }
    case "d": {
      const machine = await boot(world, "vm1", workload);
      const earlier = await contestant.cancelledMove(machine, "b");
      return { ...await measured(world, machine, "b", wholeContent), earlier };
    }
    case "e": {
      const machine = await boot(world, "vm1", workload);
      const { cost, end } = await contestant.move(machine, "b");
      const left = world.bounded ? await machine.snapshot("left") : null;
      await machine.arrivedAt(end);
      const { memory, disk } = await machine.counts();
      await machine.untilCounts({
        memory: memory + plan.settled.memory,
        disk: disk + plan.settled.disk,
      });
      const differences = (there: Snapshot) => changedContent(left!, there, BLOCK_BYTES);
      return { ...await measured(world, machine, "a", differences), earlier: cost };
    }
  }
}

/** Boots a machine and lets it work for a while. */
async function boot(world: CaseWorld, id: string, workload: GuestWorkload): Promise<Machine> {
  const { plan: { size, seed, settled }, arena, owned } = world;
  const ownSeed = id === "vm1" ? seed : seed + SEED_STEP;
  const machine = await Machine.boot(arena, {
    ...size,
    id,
    workload: { ...workload, seed: ownSeed },
  });
  owned.use(machine);
  await machine.untilCounts({
    memory: workload.memoryKiBPerSecond === 0 ? 0 : settled.memory,
    disk: workload.diskKiBPerSecond === 0 ? 0 : settled.disk,
    hot: (workload.hotMiB ?? 0) * 256 * settled.hotPasses,
  });
  return machine;
}

/** Moves the machine, and has it verify itself where it has come to. */
async function measured(
  { contestant, bounded }: CaseWorld,
  machine: Machine,
  to: SiteName,
  needed: (departure: Snapshot) => Packed,
): Promise<CaseRun> {
  const departure = bounded ? await machine.snapshot("departure") : null;
  const before = await machine.counts();
  const startMs = performance.now();
  const { cost, end } = await contestant.move(machine, to);
  const atSwitch = bounded ? await machine.snapshot("switch") : null;
  await machine.arrivedAt(end);
  const seconds = (performance.now() - startMs) / 1000;
  const after = await machine.counts();
  const rate = (name: keyof typeof after) => (after[name] - before[name]) / seconds;
  const verified = await machine.verify();
  return {
    cost,
    bound: departure && atSwitch && {
      departure: needed(departure),
      changed: changedContent(departure, atSwitch, PAGE_BYTES),
    },
    earlier: null,
    rates: { memory: rate("memory"), disk: rate("disk"), hot: rate("hot") },
    verified,
  };
}
