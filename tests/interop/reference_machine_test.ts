import assert from "node:assert/strict";
import process from "node:process";
import { type ReferenceWorkload, referenceWorkload } from "../../src/guest/definition.ts";
import type { DestinationSide } from "../../src/guest/guest.ts";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import {
  attachReferenceGuest,
  machineDirectory,
  type ReferenceGuest,
} from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { moveAll, notebook } from "../../src/testing/guest_move.ts";

const clock = systemClock();

Deno.test("pages lost on the way are found, though the machine writes on over them", async () => {
  await withMachines(async ({ source, destination, directory }) => {
    const book = notebook(directory, "scratch");
    await source.source.begin(book.options);
    await destination.destination.prepare(book.options);
    let lost = 0;
    const lossy = overriding(destination.destination, {
      writeMemory(items: MemoryItem[]) {
        const kept = items.filter((item) => !(item.kind === "pages" && item.pageIndexes[0] > 900));
        lost += items.length - kept.length;
        return destination.destination.writeMemory(kept);
      },
    });
    await moveAll(source.source, lossy, { disksBeforeGate: 1 });
    assert.ok(lost > 0);
    await destination.destination.start();
    await untilTicks(destination, 20);
    const report = await destination.verify();
    assert.equal(report.ok, false);
    assert.ok(report.firstBad);
    await untilTicks(destination, 20);
    assert.equal((await destination.verify()).ok, false);
  });
});

Deno.test("a disk block written behind the machine's back is found", async () => {
  await withMachines(async ({ source, directory }) => {
    assert.ok((await source.verify()).ok);
    await source.source.pause();
    const image = `${machineDirectory(`${directory}/source`, "guest")}/disk0.raw`;
    const file = await Deno.open(image, { read: true, write: true });
    await file.seek(3 * 4096 + 100, Deno.SeekMode.Start);
    const byte = new Uint8Array(1);
    await file.read(byte);
    await file.seek(3 * 4096 + 100, Deno.SeekMode.Start);
    await file.write(byte.map((value) => value ^ 1));
    file.close();
    const { firstBad } = await source.verify();
    assert.deepEqual([firstBad?.where, firstBad?.index], ["disk0", 3]);
  });
});

Deno.test("a machine survives the kill of its gateway: it runs on, or waits at the gate", async () => {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  try {
    for (const [step, left] of [["copying", "running"], ["gate", "paused"]]) {
      await runGatewayUntil(directory, step);
      const guest = await attach(directory, "source", { mayStart: false });
      assert.equal(await guest.runState(), left);
      const book = notebook(directory, "scratch");
      await guest.source.restore({ foundRunState: "running" }, book.options);
      assert.equal(await guest.runState(), "running");
      await untilTicks(guest, 5);
      assert.ok((await guest.verify()).ok);
      if (step === "gate") await guest.end();
      else await guest.detach();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the destination keeps the order of a move, whatever its gateway does", async () => {
  await withMachines(async ({ source, destination, directory }) => {
    const book = notebook(directory, "scratch");
    const { source: from } = source;
    const { destination: to } = destination;
    const block = new Uint8Array(4096);
    await assert.rejects(() => to.start(), { code: "guest_state" });
    await assert.rejects(() => to.writeDisk("disk0", 0, block), { code: "guest_state" });
    await assert.rejects(() => destination.source.startMemory(), { code: "guest_state" });
    await assert.rejects(() => destination.verify(), { code: "guest_state" });
    await to.prepare(book.options);
    await to.writeDisk("disk0", 0, block);
    await assert.rejects(() => to.load(), { code: "memory_item_invalid" });
    await to.resetMemory();

    await from.begin(book.options);
    const stream = await from.startMemory();
    const layoutOnly = stream.items()[Symbol.asyncIterator]();
    await to.writeMemory((await layoutOnly.next()).value);
    await assert.rejects(() => to.load(), { code: "memory_load_failed" });
    await stream.cancel();
    await to.resetMemory();
    await from.restore(book.notes, book.options);

    await from.begin(book.options);
    const sealLater = overriding(to, { sealDisks: () => Promise.resolve() });
    await moveAll(from, sealLater, { disksBeforeGate: 1 });
    await assert.rejects(() => to.start(), { code: "guest_state" });
    await assert.rejects(() => destination.source.resume(), { code: "guest_state" });
    await to.sealDisks();
    await assert.rejects(() => to.writeDisk("disk0", 0, block), { code: "guest_state" });
    await assert.rejects(() => to.resetMemory(), { code: "guest_state" });
    await to.start();
    await to.start();
    assert.ok((await destination.verify()).ok);
  });
});

Deno.test("memory of another machine is refused, and the machine waits on", async () => {
  await withMachines(async ({ destination, directory }) => {
    const { destination: to } = destination;
    await to.prepare(notebook(directory, "scratch").options);
    const blocks = [{ name: "ram", lengthBytes: 4096 }];
    const layout: MemoryItem = { kind: "layout", pageBytes: 4096, section: 0, blocks };
    const right = [{ name: "ram", lengthBytes: 16 * 2 ** 20 }];
    const far = new Uint32Array([4096]);
    const pages: MemoryItem = {
      kind: "pages",
      block: 0,
      pageIndexes: far,
      contents: new Uint8Array(4096),
    };
    for (const items of [[layout], [{ ...layout, blocks: right }, pages]]) {
      await assert.rejects(async () => {
        await to.writeMemory(items);
        await to.load();
      }, { code: "memory_item_invalid" });
      await to.resetMemory();
    }
    assert.equal(await destination.runState(), "incoming");
  });
});

Deno.test("garbage on the machine's socket harms nobody", async () => {
  await withMachines(async ({ source, directory }) => {
    const path = `${machineDirectory(`${directory}/source`, "guest")}/machine.sock`;
    const garbage = [
      new Uint8Array(64).fill(0xff),
      new TextEncoder().encode("\x02\0\0\0\0\0\0\0{}"),
      new TextEncoder().encode('\x10\0\0\0\0\0\0\0{"open":"nobody"'),
    ];
    for (const bytes of garbage) {
      const connection = await Deno.connect({ transport: "unix", path });
      await connection.write(bytes);
      while (await connection.read(new Uint8Array(1024)) !== null) continue;
      connection.close();
    }
    assert.ok((await source.verify()).ok);
  });
});

Deno.test("a machine is not started where it must not be, or attached as another", async () => {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  try {
    await assert.rejects(() => attach(directory, "source", { mayStart: false }), {
      code: "guest_gone",
    });
    const guest = await attach(directory, "source");
    await assert.rejects(() => attach(directory, "source", { memoryMiB: 32 }), {
      code: "guest_exists",
    });
    await guest.end();
    await Deno.mkdir(`${machineDirectory(`${directory}/source`, "other")}/disk0.raw`, {
      recursive: true,
    });
    await assert.rejects(
      () => attach(directory, "source", { id: "other" }),
      (error: Error & { code?: string }) =>
        error.code === "guest_launch_failed" && /directory/i.test(error.message),
    );
    await assert.rejects(() => attach(directory, "source", { id: "x".repeat(100) }), {
      code: "guest_launch_failed",
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a machine that nobody can reach any more ends by itself", async () => {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  const guest = await attach(directory, "source");
  const pidFile = `${machineDirectory(`${directory}/source`, "guest")}/machine.pid`;
  const pid = Number(await Deno.readTextFile(pidFile));
  await guest.detach();
  assert.ok(lives(pid));
  await Deno.remove(directory, { recursive: true });
  while (lives(pid)) await clock.sleep(50);
});

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

interface AttachOptions {
  readonly id?: string;
  readonly memoryMiB?: number;
  readonly mayStart?: boolean;
  readonly workload?: ReferenceWorkload;
}

function attach(
  directory: string,
  role: "source" | "incoming",
  {
    id = "guest",
    memoryMiB = 16,
    mayStart = true,
    workload = referenceWorkload.parse({ memoryBytesPerSecond: 8e6, diskBytesPerSecond: 2e6 }),
  }: AttachOptions = {},
): Promise<ReferenceGuest> {
  return attachReferenceGuest({
    id,
    definition: { kind: "reference", role, memoryMiB, disks: [{ sizeMiB: 4 }], workload },
    stateDirectory: `${directory}/${role}`,
    clock,
    mayStart,
  });
}

async function withMachines(
  use: (machines: {
    readonly source: ReferenceGuest;
    readonly destination: ReferenceGuest;
    readonly directory: string;
  }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  const source = await attach(directory, "source");
  const destination = await attach(directory, "incoming");
  try {
    await use({ source, destination, directory });
  } finally {
    await source.end();
    await destination.end();
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs a gateway with the narrowest permissions, and kills it when it has reached `step`. */
async function runGatewayUntil(directory: string, step: string): Promise<void> {
  const state = `${directory}/source`;
  const gateway = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--allow-run=${Deno.execPath()}`,
      `--allow-read=${state}`,
      `--allow-write=${state}`,
      `--allow-net=unix:${machineDirectory(state, "guest")}/machine.sock`,
      new URL("./reference_gateway_support.ts", import.meta.url).href,
      state,
      step,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = gateway.stdout.getReader();
  const said = new TextDecoder().decode((await reader.read()).value);
  gateway.kill("SIGKILL");
  while (!(await reader.read()).done) continue;
  await gateway.status;
  assert.equal(said.trim(), step);
}

/** A view of `side` with some of its methods replaced. */
function overriding(side: DestinationSide, methods: Partial<DestinationSide>): DestinationSide {
  return new Proxy(side, {
    get(target, name) {
      if (name in methods) return methods[name as keyof DestinationSide];
      return (target[name as keyof DestinationSide] as () => unknown).bind(target);
    },
  });
}

async function untilTicks(guest: ReferenceGuest, count: number): Promise<void> {
  const before = await guest.ticks() ?? 0;
  while ((await guest.ticks() ?? 0) < before + count) await clock.sleep(10);
}
