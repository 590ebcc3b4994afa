import assert from "node:assert/strict";
import type { Guest, MemorySource } from "../../src/guest/guest.ts";
import { createDisk } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { type IoLimits, queryBlockAnswer } from "../../src/qemu/answers.ts";
import { drivesOf } from "../../src/qemu/drives.ts";
import type { QmpClient } from "../../src/qemu/qmp/client.ts";
import {
  attach,
  bareArgv,
  type BareMachine,
  diskArgv,
  inDirectory,
  moveOptions,
  pump,
  startBare,
  until,
} from "./qemu_driver_support.ts";

/** What a move must leave as it found it. */
async function found(look: QmpClient): Promise<unknown> {
  const nodes = await look.execute("query-named-block-nodes", { flat: true }) as {
    "node-name": string;
    "dirty-bitmaps"?: { name: string; recording: boolean; busy: boolean }[];
  }[];
  return {
    capabilities: await look.execute("query-migrate-capabilities"),
    parameters: await look.execute("query-migrate-parameters"),
    exports: await look.execute("query-block-exports"),
    bitmaps: nodes.flatMap((node) =>
      (node["dirty-bitmaps"] ?? []).map(({ name, recording, busy }) => ({ name, recording, busy }))
    ),
    limits: drivesOf(queryBlockAnswer.parse(await look.execute("query-block")))
      .map(({ throttle }) => throttle),
    status: await look.execute("query-status"),
  };
}

/** A machine with settings, a limit and a bitmap of its operator's own. */
async function withOperatorsMachine(
  body: (machine: BareMachine, directory: string) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    await createDisk(`${directory}/0.raw`, "raw", 16);
    await createDisk(`${directory}/1.qcow2`, "qcow2", 16);
    const argv = bareArgv(
      64,
      ...diskArgv("vd0", `${directory}/0.raw`, "raw"),
      ...diskArgv("vd1", `${directory}/1.qcow2`, "qcow2"),
    );
    await using machine = await startBare(directory, "vm", argv);
    const { look } = machine;
    await look.execute("migrate-set-capabilities", {
      capabilities: [{ capability: "xbzrle", state: true }, { capability: "events", state: false }],
    });
    await look.execute("migrate-set-parameters", {
      "max-bandwidth": 12_345_678,
      "downtime-limit": 77,
      "avail-switchover-bandwidth": 5_000_000,
    });
    await look.execute("block_set_io_throttle", {
      ...{ id: "/machine/peripheral/vd1/virtio-backend", group: "tenant" },
      ...{ bps: 9_000_000, bps_rd: 0, bps_wr: 0, bps_max: 18_000_000, bps_max_length: 3 },
      ...{ iops: 0, iops_rd: 0, iops_wr: 700 },
    });
    await look.execute("block-dirty-bitmap-add", { node: "vd1-format", name: "backup-monday" });
    await body(machine, directory);
  });
}

const POINTS: Record<string, (guest: Guest, machine: BareMachine) => Promise<void>> = {
  "right after begin": () => Promise.resolve(),
  "with its disks capped": async ({ source }) => {
    await source.throttleDisks(200_000);
    await source.throttleDisks(100_000);
  },
  "with a cap that was lifted": async ({ source }) => {
    await source.throttleDisks(100_000);
    await source.throttleDisks(null);
  },
  "inside a disk round": async ({ source }) => {
    await source.beginDiskRound();
    await source.beginDiskRound();
  },
  "while memory flows": async ({ source }) => {
    read(await source.startMemory());
  },
  "while a full pool stops the stream": async ({ source }) => {
    await source.startMemory();
  },
  "at the gate": async ({ source }) => {
    const stream = await source.startMemory();
    read(stream);
    await stream.pauseAtGate();
    assert.equal((await source.beginDiskRound()).length, 2);
  },
  "in the device state": async ({ source }, { look }) => {
    const stream = await source.startMemory();
    read(stream);
    await stream.pauseAtGate();
    // Not by the driver, which would answer the end of the stream.
    await look.execute("migrate-continue", { state: "pre-switchover" });
    await until("device", async () => {
      const answer = await look.execute("query-migrate") as { status: string };
      return answer.status === "device";
    });
  },
  "with the state given away and its disks capped": async ({ source }) => {
    await source.throttleDisks(100_000);
    const stream = await source.startMemory();
    const ended = read(stream);
    await stream.pauseAtGate();
    await Promise.all([stream.finish(), ended]);
  },
};

/** Reads a stream to its end, whatever that is. */
async function read(stream: MemorySource): Promise<void> {
  await pump(stream, null).catch(() => {});
}

for (const [point, go] of Object.entries(POINTS)) {
  Deno.test(
    `restore ${point} leaves machine, settings, bitmaps and exports as found`,
    await requires("qemu", "qemuUtils"),
    () =>
      withOperatorsMachine(async (machine, directory) => {
        await using guest = await attach(machine.qmpPath);
        const before = await found(machine.look);
        const options = moveOptions(`${directory}/x`);
        await guest.source.begin(options);
        await go(guest, machine);
        await guest.source.restore(options.notes, options);
        assert.deepEqual(await found(machine.look), before);
        await assert.rejects(Deno.stat(`${directory}/x`), Deno.errors.NotFound);
        await guest.source.restore(options.notes, options);
        assert.deepEqual(await found(machine.look), before);
        // All of it can be done again.
        await guest.source.begin(options);
        await guest.source.restore(options.notes, options);
      }),
  );

  Deno.test(
    `restore by a new gateway after a crash ${point} leaves everything as found`,
    await requires("qemu", "qemuUtils"),
    () =>
      withOperatorsMachine(async (machine, directory) => {
        const before = await found(machine.look);
        const options = moveOptions(`${directory}/x`);
        const crashing = await attach(machine.qmpPath);
        await crashing.source.begin(options);
        await go(crashing, machine);
        await crashing.detach();
        await using guest = await attach(machine.qmpPath);
        await guest.source.restore(options.notes, options);
        assert.deepEqual(await found(machine.look), before);
        await until("it runs", async () => await guest.runState() === "running");
      }),
  );
}

Deno.test(
  "a cap holds the sum of all disks beside the limits that they had, and goes with the machine kept",
  await requires("qemu", "qemuUtils"),
  () =>
    withOperatorsMachine(async (machine, directory) => {
      await using guest = await attach(machine.qmpPath);
      const before = await found(machine.look);
      const options = moveOptions(`${directory}/x`);
      await guest.source.begin(options);
      await guest.source.throttleDisks(1_000_000);
      const limits = async () =>
        drivesOf(queryBlockAnswer.parse(await machine.look.execute("query-block")))
          .map(({ throttle }) => throttle!.limits);
      const none = { bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 };
      assert.deepEqual(await limits(), [
        { ...none, bps_wr: 500_000, group: "causeway" },
        { ...none, bps_rd: 8_500_000, bps_wr: 500_000, iops_wr: 700, group: "tenant" },
      ]);
      await assert.rejects(guest.source.throttleDisks(0), RangeError);
      const stream = await guest.source.startMemory();
      const ended = read(stream);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), ended]);
      await guest.source.retire(true);
      assert.deepEqual(
        await limits(),
        (before as { limits: { limits: unknown }[] }).limits
          .map((drive) => drive.limits),
      );
    }),
);

Deno.test(
  "a cap whose notes are lost goes with the machine that is kept",
  await requires("qemu", "qemuUtils"),
  () =>
    withOperatorsMachine(async (machine, directory) => {
      const crashing = await attach(machine.qmpPath);
      const before = await found(machine.look);
      await crashing.source.begin(moveOptions(`${directory}/x`));
      await crashing.source.throttleDisks(1_000_000);
      await crashing.detach();
      await using guest = await attach(machine.qmpPath);
      await guest.source.retire(true);
      const [own, tenants] =
        (await found(machine.look) as { limits: { limits: IoLimits }[] }).limits;
      assert.deepEqual(own, (before as { limits: unknown[] }).limits[0]);
      // What the operator had here is not known any more; it is narrower, never wider.
      assert.equal(tenants.limits.iops_wr, 700);
    }),
);
