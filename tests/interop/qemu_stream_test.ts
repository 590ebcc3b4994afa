import assert from "node:assert/strict";
import { systemClock } from "../../src/host/system_clock.ts";
import type { MemoryItem } from "../../src/guest/memory_items.ts";
import { connectQmp, type QmpClient } from "../../src/qemu/qmp/client.ts";
import { createStreamReader, type StreamReader } from "../../src/qemu/stream/reader.ts";
import { createReturnPathParser } from "../../src/qemu/stream/return_path.ts";
import { createStreamWriter } from "../../src/qemu/stream/writer.ts";
import { startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import {
  type FirmwareMachine,
  pump,
  pumpForward,
  relay,
  setCapabilities,
  startFirmwareMachine,
  type StreamFilter,
  until,
  untilMigrated,
} from "./qemu_stream_support.ts";

const needs = await requires("qemu");
const needsGuest = await requires("qemu", "guestImage");

/** 16 MiB of 64 are rewritten in every pass, some thirty passes a second. */
const MACHINE = {
  memoryKiB: 64 * 1024,
  firmware: { firstByte: 16 * 1024 * 1024, pageCount: 4096 },
} as const;

Deno.test(
  "a busy machine moves through reader and writer and finds its memory",
  needs,
  async () => {
    await using pair = await firmwarePair();
    const { source, destination } = pair;
    await untilPasses(source, 20);
    const filter = pageAware();

    await move(source.qmp, destination.qmp, pair.folder.path, filter);

    const { stats, phase } = filter.reader;
    assert.equal(phase, "device");
    assert.equal(stats.reason, null);
    // Device state and its description are all that was not understood.
    assert(stats.pageRecords + stats.zeroRecords >= 64 * 256, JSON.stringify(stats));
    assert(stats.opaqueBytes < 400_000, JSON.stringify(stats));
    assert.deepEqual(filter.backwardKinds, ["pong 1", "shut 0"]);
    await runsOn(destination);
  },
);

Deno.test(
  "where deltas begin the rest is relayed verbatim and loads all the same",
  needs,
  async () => {
    await using pair = await firmwarePair();
    const { source, destination } = pair;
    await untilPasses(source, 20);
    await setCapabilities(source.qmp, "xbzrle");
    // Too slow to converge: whole pages in the first pass, deltas of them in the second.
    const slow = { "xbzrle-cache-size": 64 * 1024 * 1024, "max-bandwidth": 32 * 1024 * 1024 };
    // Right before them a page of another block is sent again: the deltas say "same block as
    // before" and would go there, did the reader not name their block anew.
    const filter = pageAware({ otherBlockBeforeOpaque: true });

    const moved = move(source.qmp, destination.qmp, pair.folder.path, filter, slow);
    await Promise.race([
      moved,
      until(30_000, () => Promise.resolve(filter.reader.phase === "opaque")),
    ]);
    await source.qmp.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 31 });
    await moved;

    assert.equal(filter.reader.phase, "opaque");
    assert.equal(filter.reader.stats.reason, "memory record with flags 0x60");
    await runsOn(destination);
  },
);

Deno.test(
  "after a cancelled migration the pages of the next one continue in the same stream",
  needs,
  async () => {
    await using pair = await firmwarePair();
    const { source, destination, folder } = pair;
    await untilPasses(source, 20);
    const writer = createStreamWriter();
    await destination.qmp.execute("migrate-incoming", { uri: `unix:${folder.path}/in` });
    const incoming = await Deno.connect({ transport: "unix", path: `${folder.path}/in` });
    await setCapabilities(source.qmp, "return-path");
    // Slow enough that the first attempt never gets to its end.
    await source.qmp.execute("migrate-set-parameters", { "max-bandwidth": 32 * 1024 * 1024 });

    const first = await outgoing(source.qmp, `${folder.path}/out1`);
    const reader = createStreamReader();
    let relayedBytes = 0;
    const relayed = pump(first, incoming, function* (chunk) {
      for (const item of reader.push(chunk)) yield* writer.write(item);
      relayedBytes += chunk.length;
    });
    await until(30_000, () => Promise.resolve(relayedBytes > 20 * 1024 * 1024));
    await source.qmp.execute("migrate_cancel");
    await relayed; // what the reader still holds of a record is dropped with it
    first.close();
    // migrate_cancel shuts the socket down before it sets the state (10.0): now and then the
    // migration thread sees the error first and calls it "failed". The machine runs on either way.
    assert.match(await untilMigrated(source.qmp), /^(cancelled|failed)$/);
    const passesBefore = (await source.passes()).length;
    await until(30_000, async () => (await source.passes()).length > passesBefore + 5);

    await source.qmp.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 31 });
    const second = await outgoing(source.qmp, `${folder.path}/out2`);
    const secondReader = createStreamReader();
    let preludeOver = false;
    await Promise.all([
      pumpForward(second, incoming, {
        *forward(chunk) {
          for (const item of secondReader.push(chunk)) {
            preludeOver ||= item.kind === "layout";
            if (preludeOver) yield* writer.write(item);
          }
        },
      }),
      pump(incoming, second, (chunk) => [chunk]).then(() => second.closeWrite()),
    ]);
    second.close();
    incoming.close();
    assert.equal(await untilMigrated(source.qmp), "completed");
    assert.equal(await untilMigrated(destination.qmp), "completed");
    await runsOn(destination);
  },
);

Deno.test(
  "a Linux guest moves through reader and writer and verifies itself",
  needsGuest,
  async () => {
    await using folder = await temporaryFolder();
    const options = {
      directory: folder.path,
      memoryMiB: 160,
      workload: { memoryMiB: 16, memoryKiBPerSecond: 8192, seed: 3 },
    } as const;
    await using source = await startQemu({ ...options, name: "source" });
    await using destination = await startQemu({ ...options, name: "destination", incoming: true });
    await source.waitReady();
    const boot = /boot=(\S+)/.exec(await source.ask("status"))![1];
    const clock = systemClock();
    const sourceQmp = await connectQmp(source.qmpPath, { clock });
    const destinationQmp = await connectQmp(destination.qmpPath, { clock });
    const filter = pageAware();

    await move(sourceQmp, destinationQmp, folder.path, filter);
    await destinationQmp.execute("cont");

    assert.equal(filter.reader.stats.reason, null);
    assert.match(await destination.ask("verify"), /^verify ok memory=16 /);
    assert.match(await destination.ask("status"), new RegExp(`boot=${boot} `));
    sourceQmp.close();
    destinationQmp.close();
  },
);

/** Reader, items, writer: what two gateways do, without the link between them. */
function pageAware(
  options: { otherBlockBeforeOpaque?: boolean } = {},
): StreamFilter & { reader: StreamReader; backwardKinds: string[] } {
  const reader = createStreamReader();
  const writer = createStreamWriter();
  const returnPath = createReturnPathParser();
  const backwardKinds: string[] = [];
  let ramBlock = -1;
  let otherBlock: MemoryItem | null = null;
  function* write(item: MemoryItem) {
    if (item.kind === "layout") ramBlock = item.blocks.findIndex(({ name }) => name === "pc.ram");
    if ("block" in item && item.block !== ramBlock) otherBlock = item;
    if (options.otherBlockBeforeOpaque && item.kind === "opaque" && item.reason !== undefined) {
      assert(otherBlock);
      yield* writer.write(otherBlock);
    }
    yield* writer.write(item);
  }
  return {
    reader,
    backwardKinds,
    *forward(chunk) {
      for (const item of reader.push(chunk)) yield* write(item);
    },
    *forwardEnd() {
      for (const item of reader.end()) yield* write(item);
      yield* writer.flush();
    },
    *backward(chunk) {
      for (const message of returnPath.push(chunk)) {
        if (message.kind === "pong") backwardKinds.push(`pong ${message.value}`);
        else if (message.kind === "shut") backwardKinds.push(`shut ${message.status}`);
        else backwardKinds.push(message.kind);
        yield message.bytes;
      }
    },
  };
}

/** A whole migration with the return path on; both ends complete, the destination stays paused. */
async function move(
  source: QmpClient,
  destination: QmpClient,
  folder: string,
  filter: StreamFilter,
  parameters: Record<string, number> = { "max-bandwidth": 2 ** 31 },
): Promise<void> {
  await destination.execute("migrate-incoming", { uri: `unix:${folder}/in` });
  const incoming = await Deno.connect({ transport: "unix", path: `${folder}/in` });
  await setCapabilities(source, "return-path");
  await source.execute("migrate-set-parameters", parameters);
  const out = await outgoing(source, `${folder}/out`);
  await relay(out, incoming, filter);
  assert.equal(await untilMigrated(source), "completed");
  assert.equal(await untilMigrated(destination), "completed");
}

async function outgoing(qmp: QmpClient, path: string): Promise<Deno.UnixConn> {
  using listener = Deno.listen({ transport: "unix", path });
  const [conn] = await Promise.all([
    listener.accept(),
    qmp.execute("migrate", { uri: `unix:${path}` }),
  ]);
  return conn;
}

/** Three passes at the destination have compared every page with what the source wrote last. */
async function runsOn(machine: FirmwareMachine): Promise<void> {
  await machine.qmp.execute("cont");
  await untilPasses(machine, 3);
}

async function untilPasses(machine: FirmwareMachine, count: number): Promise<void> {
  await until(60_000, async () => {
    const passes = await machine.passes();
    assert.match(passes, /^\.*$/, "the machine found memory that is not what it wrote last");
    return passes.length >= count;
  });
}

async function firmwarePair() {
  const stack = new AsyncDisposableStack();
  try {
    const folder = stack.use(await temporaryFolder());
    const options = { ...MACHINE, directory: folder.path };
    const source = stack.use(await startFirmwareMachine({ ...options, name: "source" }));
    const destination = stack.use(
      await startFirmwareMachine({ ...options, name: "destination", incoming: true }),
    );
    return { folder, source, destination, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "cw-stream-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
