import assert from "node:assert/strict";
import fc from "fast-check";
import type { ChannelKind } from "./channel_kind.ts";
import { FRAME_HEADER_BYTES } from "./limits.ts";
import { MigrationChannels } from "./migration_channels.ts";
import { migrationIdText } from "./migration_id.ts";
import {
  checkShare,
  type MigrationShare,
  PRIORITIES,
  type Priority,
  SHARE_DEFAULT,
} from "./migration_share.ts";
import { Scheduler } from "./scheduler.ts";

const FREE_BYTES = 1e9;
const BYTES = new Uint8Array(256 * 1024);

interface MachineSetup {
  readonly share?: MigrationShare;
  /** Payloads of its frames in turn. */
  readonly frameBytes: readonly number[];
  readonly kinds?: readonly ChannelKind[];
}

/** A machine that has a frame on each of its channels whenever it `hasData`. */
class Machine {
  readonly migration: MigrationChannels;
  readonly id: string;
  hasData = true;
  isAllowed = true;
  /** Record bytes sent. */
  sentBytes = 0;
  readonly sentByKind = new Map<ChannelKind, number>();
  frames = 0;

  constructor(number: number, readonly setup: MachineSetup) {
    this.id = migrationIdText(new Uint8Array(16).fill(number));
    this.migration = new MigrationChannels(this.id, 1, 0);
  }

  get weight(): number {
    return (this.setup.share ?? SHARE_DEFAULT).weight;
  }

  get priority(): Priority {
    return (this.setup.share ?? SHARE_DEFAULT).priority;
  }

  get recordBytesMax(): number {
    return Math.max(...this.setup.frameBytes) + FRAME_HEADER_BYTES;
  }

  /** What its frames that went before took, over its weight. */
  get service(): number {
    return this.sentBytes / this.weight;
  }

  fill(): void {
    if (!this.hasData) return;
    const { frameBytes, kinds = ["memory"] } = this.setup;
    for (const kind of kinds) {
      const { outbox } = this.migration.channel(kind);
      if (outbox.peek() === null) {
        outbox.push(16, BYTES.subarray(0, frameBytes[this.frames % frameBytes.length]));
      }
    }
  }

  drop(): void {
    this.hasData = false;
    for (const { outbox } of this.migration.channels) outbox.clear();
  }
}

/** Machines on one link whose frames are acknowledged at once. */
class Sharing {
  readonly scheduler = new Scheduler();
  readonly machines: Machine[];

  constructor(setups: readonly MachineSetup[]) {
    this.machines = setups.map((setup, i) => new Machine(i + 1, setup));
    for (const { id, setup } of this.machines) {
      if (setup.share) this.scheduler.setShare(id, setup.share);
    }
  }

  /** Sends one frame; the machine that it was of, null when none may send. */
  step(): Machine | null {
    for (const machine of this.machines) machine.fill();
    const channel = this.scheduler.bulk(
      this.machines.map(({ migration }) => migration),
      FREE_BYTES,
      (id) => this.machines.find((machine) => machine.id === id)!.isAllowed,
    );
    if (channel === null) return null;
    const machine = this.machines.find(({ migration }) => migration === channel.migration)!;
    const { payload, sequence } = channel.outbox.take(1);
    const recordBytes = payload.byteLength + FRAME_HEADER_BYTES;
    this.scheduler.sent(channel, recordBytes);
    channel.outbox.acknowledge(sequence);
    machine.frames++;
    machine.sentBytes += recordBytes;
    const byKind = machine.sentByKind.get(channel.kind) ?? 0;
    machine.sentByKind.set(channel.kind, byKind + recordBytes);
    return machine;
  }

  run(frames: number): void {
    for (let frame = 0; frame < frames; frame++) this.step();
  }

  /** Part of each machine in what is sent from now on. */
  shares(frames: number): number[] {
    const before = this.machines.map(({ sentBytes }) => sentBytes);
    this.run(frames);
    const sent = this.machines.map(({ sentBytes }, i) => sentBytes - before[i]);
    const total = sent.reduce((sum, bytes) => sum + bytes, 0);
    return sent.map((bytes) => bytes / total);
  }
}

const anyFrames = fc.array(fc.integer({ min: 1, max: 256 * 1024 }), { minLength: 1, maxLength: 8 });
const anyKinds = fc.constantFrom<readonly ChannelKind[]>(["memory"], ["disk"], ["memory", "disk"]);
const anyWeight = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(1, 1000));
const anyPriority = fc.constantFrom(...PRIORITIES);
const anySetup = (priority: fc.Arbitrary<Priority>): fc.Arbitrary<MachineSetup> =>
  fc.record({
    share: fc.record({ priority, weight: anyWeight }),
    frameBytes: anyFrames,
    kinds: anyKinds,
  });
const SEED = { seed: 4 };

/** What two machines that wait all the time may differ by at most, in service. */
function isFair(left: Machine, right: Machine, before: readonly [number, number]): boolean {
  const apart = (left.service - before[0]) - (right.service - before[1]);
  const bound = left.recordBytesMax / left.weight + right.recordBytesMax / right.weight;
  return Math.abs(apart) <= bound + 1e-6;
}

Deno.test("machines of one priority share by weight, to a record of each at every moment", () => {
  const setups = fc.array(anySetup(fc.constant("normal")), { minLength: 2, maxLength: 5 });
  fc.assert(
    fc.property(setups, (setups) => {
      const sharing = new Sharing(setups);
      for (let frame = 0; frame < 400; frame++) {
        assert.notEqual(sharing.step(), null);
        for (const left of sharing.machines) {
          for (const right of sharing.machines) assert.ok(isFair(left, right, [0, 0]));
        }
      }
    }),
    { ...SEED, numRuns: 40 },
  );
});

Deno.test("over some time the shares are the weights' within 5 %", () => {
  const setup = fc.record({
    share: fc.record({
      priority: fc.constant<Priority>("high"),
      weight: fc.integer({ min: 1, max: 30 }),
    }),
    frameBytes: fc.array(fc.integer({ min: 32_000, max: 256_000 }), { minLength: 1, maxLength: 8 }),
    kinds: anyKinds,
  });
  fc.assert(
    fc.property(fc.array(setup, { minLength: 2, maxLength: 4 }), (setups) => {
      const sharing = new Sharing(setups);
      const { machines } = sharing;
      while (machines.some((machine) => machine.sentBytes < 45 * machine.recordBytesMax)) {
        sharing.step();
      }
      const sentBytes = machines.reduce((sum, machine) => sum + machine.sentBytes, 0);
      const weights = machines.reduce((sum, machine) => sum + machine.weight, 0);
      for (const machine of machines) {
        const ratio = machine.sentBytes / sentBytes / (machine.weight / weights);
        assert.ok(Math.abs(ratio - 1) < 0.05, `${ratio} of its share`);
      }
    }),
    { ...SEED, numRuns: 15 },
  );
});

Deno.test("the link never idles while somebody may send, and who has nothing takes nothing", () => {
  const anyTurn = fc.record({
    machine: fc.nat(4),
    change: fc.constantFrom("data", "none", "cap", "uncap"),
    frames: fc.nat(30),
  });
  fc.assert(
    fc.property(
      fc.array(anySetup(anyPriority), { minLength: 1, maxLength: 5 }),
      fc.array(anyTurn, { maxLength: 20 }),
      (setups, turns) => {
        const sharing = new Sharing(setups);
        for (const { machine: number, change, frames } of turns) {
          const machine = sharing.machines[number % setups.length];
          if (change === "none") machine.drop();
          else if (change === "data") machine.hasData = true;
          else machine.isAllowed = change === "uncap";
          for (let frame = 0; frame < frames; frame++) {
            const ready = sharing.machines.filter((each) => each.hasData && each.isAllowed);
            const served = sharing.step();
            if (ready.length === 0) assert.equal(served, null);
            else assert.ok(served !== null && ready.includes(served));
          }
        }
      },
    ),
    { ...SEED, numRuns: 100 },
  );
});

Deno.test("a machine that comes back shares as before, without a debt for the time away", () => {
  fc.assert(
    fc.property(
      fc.array(anySetup(fc.constant("low")), { minLength: 3, maxLength: 3 }),
      fc.nat(200),
      (setups, awayFrames) => {
        const sharing = new Sharing(setups);
        const [gone, ...others] = sharing.machines;
        sharing.run(50);
        gone.drop();
        sharing.run(awayFrames);
        gone.hasData = true;
        const before = sharing.machines.map(({ service }) => service);
        for (let frame = 0; frame < 200; frame++) {
          sharing.step();
          assert.ok(
            isFair(others[0], others[1], [before[1], before[2]]),
            "others among themselves",
          );
        }
        // It may catch up with a MiB, no more.
        for (const [at, other] of others.entries()) {
          const ahead = (gone.service - before[0]) - (other.service - before[at + 1]);
          const bound = (1024 * 1024 + gone.recordBytesMax) / gone.weight +
            other.recordBytesMax / other.weight;
          assert.ok(ahead <= bound + 1e-6, `${ahead} ahead, at most ${bound}`);
        }
      },
    ),
    { ...SEED, numRuns: 40 },
  );
});

Deno.test("a higher priority goes first whatever the weights, and the lower ones never stand", () => {
  const setups = fc.tuple(
    anySetup(fc.constant("high")),
    anySetup(fc.constant("normal")),
    anySetup(fc.constant("low")),
  );
  fc.assert(
    fc.property(setups, (setups) => {
      const sharing = new Sharing(setups);
      const { machines } = sharing;
      while (machines.some((machine) => machine.sentBytes < 20 * machine.recordBytesMax)) {
        sharing.step();
      }
      const sentBytes = machines.reduce((sum, machine) => sum + machine.sentBytes, 0);
      const [high, normal, low] = machines.map((machine) => machine.sentBytes / sentBytes);
      assert.ok(high > 0.89 && high < 0.92, `${high}`);
      for (const share of [normal, low]) assert.ok(share > 0.04 && share < 0.06, `${share}`);
    }),
    { ...SEED, numRuns: 20 },
  );
});

Deno.test("what a higher priority does not take goes to the lower ones at once", () => {
  const share = (priority: Priority) => ({
    share: { priority, weight: 100 },
    frameBytes: [10_000],
  });
  const sharing = new Sharing([share("high"), share("normal"), share("low")]);
  const [high, normal] = sharing.machines;
  sharing.run(1_000);
  high.drop();
  const [none, most, least] = sharing.shares(2_000);
  assert.equal(none, 0);
  assert.ok(most > 0.93 && least > 0.04, `${most} and ${least}`);
  normal.drop();
  assert.deepEqual(sharing.shares(10), [0, 0, 1]);
  high.hasData = normal.hasData = true;
  assert.equal(sharing.step(), high, "and back");
  assert.ok(sharing.shares(40)[0] > 0.85);
});

Deno.test("every machine that waits gets a turn within its share of bytes", () => {
  fc.assert(
    fc.property(fc.array(anySetup(anyPriority), { minLength: 2, maxLength: 5 }), (setups) => {
      const sharing = new Sharing(setups);
      const { machines } = sharing;
      const longest = Math.max(...machines.map((machine) => machine.recordBytesMax));
      const waited = new Map(machines.map((machine) => [machine, 0]));
      for (let frame = 0; frame < 1_000; frame++) {
        const before = machines.map(({ sentBytes }) => sentBytes);
        const served = sharing.step()!;
        const sentBytes = served.sentBytes - before[machines.indexOf(served)];
        for (const machine of machines) {
          waited.set(machine, machine === served ? 0 : waited.get(machine)! + sentBytes);
          const equals = machines.filter(({ priority }) => priority === machine.priority);
          const weights = equals.reduce((sum, { weight }) => sum + weight, 0);
          // Its class gets a 21st at least, and it its share of that.
          const boundBytes = 21 * (longest * weights / machine.weight + equals.length * longest) +
            21 * longest;
          assert.ok(waited.get(machine)! <= boundBytes, `${waited.get(machine)} of ${boundBytes}`);
        }
      }
    }),
    { ...SEED, numRuns: 20 },
  );
});

Deno.test("a change of share holds from the next frame on", () => {
  const frameBytes = [50_000];
  const weighted = (weight: number) => ({
    share: { priority: "normal" as const, weight },
    frameBytes,
  });
  const sharing = new Sharing([weighted(1), weighted(1_000)]);
  const [first] = sharing.machines;
  // A turn of weight 1 is worth a thousand of the other's: what is left of it counts for nothing now.
  while (first.frames < 2) sharing.step();
  sharing.scheduler.setShare(first.id, { priority: "normal", weight: 1_000 });
  const [half] = sharing.shares(20);
  assert.ok(half >= 0.45 && half <= 0.55, `${half} after it became equal`);
  sharing.scheduler.setShare(first.id, { priority: "high", weight: 1 });
  assert.equal(sharing.step(), first, "a priority as well");
  assert.ok(sharing.shares(100)[0] > 0.9);
  sharing.scheduler.setShare(first.id, { priority: "low", weight: 1_000 });
  assert.ok(sharing.shares(100)[0] < 0.1);
});

Deno.test("memory and disks of a machine count together, against one that has memory only", () => {
  const sharing = new Sharing([
    { frameBytes: [200_000], kinds: ["memory", "disk"] },
    { frameBytes: [70_000], kinds: ["memory"] },
  ]);
  const [both, one] = sharing.shares(2_000);
  assert.ok(Math.abs(both / one - 1) < 0.02, `${both} and ${one}`);
  const { sentByKind, sentBytes } = sharing.machines[0];
  const disk = sentByKind.get("disk")! / sentBytes;
  assert.ok(disk > 0.2 && disk < 0.3, `${disk} of it are disks`);
});

Deno.test("a share that is none is a mistake of the caller", () => {
  for (const weight of [0, -1, 1.5, 1_001, NaN]) {
    assert.throws(() => checkShare({ priority: "normal", weight }), RangeError);
  }
  assert.throws(() => checkShare({ priority: "urgent" as Priority, weight: 1 }), RangeError);
  checkShare(SHARE_DEFAULT);
});
