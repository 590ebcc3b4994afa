import assert from "node:assert/strict";
import { systemClock } from "../../src/host/system_clock.ts";
import { connectQmp, type QmpClient } from "../../src/qemu/qmp/client.ts";
import { addBridge, addTap, connect, createNamespace } from "../../src/testing/netns.ts";
import { createDisk, type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";

const needs = await requires("qemu", "qemuUtils", "guestImage");
const needsNetwork = await requires("qemu", "guestImage", "namespaces");

/** Small and brisk, so that everything has been written to soon after the boot. */
const WORKLOAD = { memoryMiB: 8, diskKiBPerSecond: 1000, diskBlockKiB: 64, seed: 7 } as const;

Deno.test("the guest writes memory and two disks and finds all of it unharmed", needs, async () => {
  await using folder = await temporaryFolder();
  const raw = await disk(folder.path, "vd0", "raw");
  const qcow2 = await disk(folder.path, "vd1", "qcow2");
  await using guest = await startQemu({
    directory: folder.path,
    memoryMiB: 160,
    disks: [raw, qcow2],
    workload: WORKLOAD,
  });
  await guest.waitReady();
  await written(guest, 12);

  const [, files, blocks] = /^verify ok memory=(\d+) disk=(\d+)$/.exec(await guest.ask("verify"))!;
  assert.equal(Number(files), 8);
  // Some blocks are written more than once.
  assert.ok(Number(blocks) >= 6, `${blocks} blocks`);
  const synced = (await guest.console()).match(/^synced vd[ab] \d+\r?$/gm)!;
  assert.ok(synced.some((line) => line.startsWith("synced vda")));
  assert.ok(synced.some((line) => line.startsWith("synced vdb")));

  const pongs = [await guest.ask("ping"), await guest.ask("ping")].map(parsePong);
  assert.equal(pongs[1].beats, pongs[0].beats + 1);
  assert.equal(pongs[1].boot, pongs[0].boot);

  assert.equal(await guest.ask("poweroff"), "poweroff ok");
  assert.equal(await guest.exited, 0);
});

Deno.test(
  "verify fails after one byte of a disk changed behind the guest's back",
  needs,
  async () => {
    await using folder = await temporaryFolder();
    const raw = await disk(folder.path, "vd0", "raw");
    await using guest = await startQemu({
      directory: folder.path,
      disks: [raw],
      workload: { ...WORKLOAD, memoryKiBPerSecond: 0 },
    });
    await guest.waitReady();
    await written(guest, 2);
    assert.equal(await guest.ask("stop-workload"), "stop-workload ok");
    assert.match(await guest.ask("verify"), /^verify ok /);

    await flipByte(raw.path, 1000);

    assert.match(await guest.ask("verify"), /^verify FAIL disk vda block 0 sequence \d+/);
  },
);

Deno.test(
  "verify fails after one byte of memory changed behind the guest's back",
  needs,
  async () => {
    await using folder = await temporaryFolder();
    await using guest = await startQemu({
      directory: folder.path,
      workload: { ...WORKLOAD, memoryKiBPerSecond: 0 },
    });
    await guest.waitReady();
    assert.match(await guest.ask("verify"), /^verify ok memory=8 disk=0$/);

    await guest.ask("corrupt-memory");

    assert.match(await guest.ask("verify"), /^verify FAIL \/hot\/0: FAILED/);
  },
);

Deno.test(
  "hot pages are rewritten in a few words, and verify finds one that is wrong",
  needs,
  async () => {
    await using folder = await temporaryFolder();
    await using guest = await startQemu({
      directory: folder.path,
      workload: { memoryMiB: 1, memoryKiBPerSecond: 0, hotMiB: 1, hotKiBPerSecond: 4096 },
    });
    await guest.waitReady();
    // In the third pass every page has been rewritten at least once with what it held.
    await until(async () => Number(/ hot=(\d+)/.exec(await guest.ask("status"))?.[1]) > 3 * 256);
    assert.equal(await guest.ask("stop-workload"), "stop-workload ok");
    assert.equal(await guest.ask("verify"), "verify ok memory=1 disk=0");

    await guest.ask("run printf X 1<>/hot/pages/3");
    assert.match(await guest.ask("verify"), /^verify FAIL hot page 3$/);

    await guest.ask("run printf h 1<>/hot/pages/3");
    await guest.ask("run printf - | dd of=/hot/pages/5 bs=1 seek=4000 conv=notrunc");
    assert.match(await guest.ask("verify"), /^verify FAIL hot bodies$/);
  },
);

Deno.test("rewriting does not hide a corruption that happened before it", needs, async () => {
  await using folder = await temporaryFolder();
  await using guest = await startQemu({
    directory: folder.path,
    workload: { memoryMiB: 1, memoryKiBPerSecond: 0 },
  });
  await guest.waitReady();
  await guest.ask("corrupt-memory");
  await guest.ask("rate memory 8192");
  await until(async () => (await guest.ask("status")).includes("corrupt"));

  assert.match(await guest.ask("verify"), /^verify FAIL .*memory file 0/);
});

Deno.test("the guest notices nothing of a move by QEMU over a shared disk", needs, async () => {
  await using folder = await temporaryFolder();
  const options = {
    directory: folder.path,
    disks: [await disk(folder.path, "vd0", "raw")],
    workload: WORKLOAD,
  };
  await using source = await startQemu({ ...options, name: "source" });
  await source.waitReady();
  await written(source, 4);
  const before = parsePong(await source.ask("ping"));
  await using destination = await startQemu({ ...options, name: "destination", incoming: true });
  {
    using from = await monitor(source);
    using to = await monitor(destination);
    const uri = `unix:${folder.path}/stream`;
    await to.qmp.execute("migrate-incoming", { uri });
    await from.qmp.execute("migrate", { uri });
    await until(async () => await migrationStatus(from.qmp) === "completed");
    await to.qmp.execute("cont");
  }
  await source.kill();

  const after = parsePong(await destination.ask("ping"));
  assert.deepEqual(after, { beats: before.beats + 1, boot: before.boot });
  const count = Number(/ disk=(\d+)/.exec(await destination.ask("status"))![1]);
  await written(destination, count + 4);
  assert.match(await destination.ask("verify"), /^verify ok memory=8 disk=\d+$/);
});

Deno.test(
  "the guest answers from its addresses through bridge and cable",
  needsNetwork,
  async () => {
    await using folder = await temporaryFolder();
    await using site = await createNamespace("site");
    await using client = await createNamespace("client");
    await addBridge({ namespace: site, name: "br0" });
    await addTap({ namespace: site, name: "tap0" }, "br0");
    await connect({ namespace: site, name: "lan0" }, {
      namespace: client,
      name: "lan0",
      addresses: ["10.77.0.1/24", "fd77::1/64"],
    });
    await site.ip("link", "set", "lan0", "master", "br0");
    await using guest = await startQemu({
      directory: folder.path,
      network: {
        namespace: site.name,
        tap: "tap0",
        mac: "52:54:00:77:00:02",
        ip: "10.77.0.2/24",
        ip6: "fd77::2/64",
      },
      workload: { memoryMiB: 1, memoryKiBPerSecond: 0 },
    });
    await guest.waitReady();

    for (const address of ["10.77.0.2", "fd77::2"]) {
      assert.match(
        await client.run("busybox", "ping", "-c", "1", "-W", "5", address),
        / 1 packets received/,
      );
    }
    const echo = await client.run("sh", "-c", "echo hello | busybox nc -w 5 10.77.0.2 7");
    assert.equal(echo, "hello\n");
  },
);

async function monitor(guest: QemuProcess): Promise<Disposable & { readonly qmp: QmpClient }> {
  const qmp = await connectQmp(guest.qmpPath, { clock: systemClock() });
  return { qmp, [Symbol.dispose]: () => qmp.close() };
}

async function migrationStatus(qmp: QmpClient): Promise<string> {
  const { status } = await qmp.execute("query-migrate") as { status: string };
  assert.notEqual(status, "failed");
  return status;
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "cw-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function disk(folder: string, id: string, format: "raw" | "qcow2") {
  const path = `${folder}/${id}.${format}`;
  await createDisk(path, format, 64);
  return { id, path, format };
}

async function written(guest: QemuProcess, blockCount: number): Promise<void> {
  await until(async () => Number(/ disk=(\d+)/.exec(await guest.ask("status"))![1]) >= blockCount);
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!await isTrue()) await new Promise((resolve) => setTimeout(resolve, 50));
}

function parsePong(answer: string): { beats: number; boot: string } {
  const [, beats, boot] = /^pong (\d+) boot=(\S+)$/.exec(answer)!;
  return { beats: Number(beats), boot };
}

async function flipByte(path: string, offsetBytes: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  await file.seek(offsetBytes, Deno.SeekMode.Start);
  await file.read(byte);
  byte[0] ^= 0x10;
  await file.seek(offsetBytes, Deno.SeekMode.Start);
  await file.write(byte);
}
