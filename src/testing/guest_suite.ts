import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { dirtyBytes } from "../migration/dirty_disks.ts";
import type { Guest, GuestEvent, MoveOptions } from "../guest/guest.ts";
import type { MemoryItem } from "../guest/memory_items.ts";
import { MemoryPipe, moveAll, notebook } from "./guest_move.ts";
import { casesOfWatching } from "./guest_watch_cases.ts";

/** A busy machine and the one that waits for it; made once for several cases. */
export interface GuestPair {
  /** Runs, and writes memory and disks all the time. */
  source: Guest;
  /** Waits for a memory stream, with disks of the same sizes that hold nothing of use. */
  destination: Guest;
  /** Where the drivers of either side may put their files; exists. */
  readonly scratchDirectory: string;
  /** Lets a machine that runs check its own memory and disks. */
  verify(guest: Guest): Promise<{ readonly ok: boolean; readonly detail: string }>;
  /** Resolves when a running machine has done some more work, and rejects when it does none. */
  untilItWorked(guest: Guest): Promise<void>;
  /** Compares the disk images of both sides, both machines standing still; null when equal. */
  firstDiskDifference(): Promise<string | null>;
  /** Lets go of the source as a crash of its gateway does, and attaches it again. */
  reattachSource(): Promise<Guest>;
  /** Replaces a destination that has ended by one that waits, with the same disks. */
  renewDestination(): Promise<Guest>;
  /** Kills a machine's process without a word. */
  kill(guest: Guest): Promise<void>;
  /** Ends what is left of both machines and removes their files. */
  dispose(): Promise<void>;
}

/** What differs between the places where the suite runs. */
export interface GuestSuiteOptions {
  /** Skips every case; its text is part of the test's name. */
  readonly skip?: string;
}

/**
 * Registers the cases that every `Guest` has to pass. They start two machines; cases of one machine
 * run one after the other, so that slow machines start seldom.
 */
export function guestSuite(
  name: string,
  makePair: () => Promise<GuestPair>,
  options: GuestSuiteOptions = {},
): void {
  const register = (
    title: string,
    cases: (pair: GuestPair, t: Deno.TestContext) => Promise<void>,
  ) =>
    Deno.test({
      name: `${name}: ${title}${options.skip ? ` (skipped: ${options.skip})` : ""}`,
      ignore: options.skip !== undefined,
      fn: async (t) => {
        const pair = await makePair();
        try {
          await cases(pair, t);
        } finally {
          await pair.dispose();
        }
      },
    });
  register("a machine is copied, kept, and at last moved", casesOfARunningMove);
  register("a paused machine arrives paused, moves on, and its end is noticed", casesOfAPausedMove);
}

async function casesOfARunningMove(pair: GuestPair, t: Deno.TestContext): Promise<void> {
  await t.step("preflight accepts the counterpart and touches nothing", async () => {
    const [here, there] = await Promise.all([pair.source.describe(), pair.destination.describe()]);
    assert.deepEqual(refusals(await pair.source.source.preflight(there)), []);
    assert.deepEqual(refusals(await pair.destination.destination.preflight(here)), []);
    assert.equal(await pair.source.runState(), "running");
    assert.equal(await pair.destination.runState(), "incoming");
  });

  await t.step("preflight refuses a counterpart of another size, by code", async () => {
    const there = await pair.destination.describe();
    const smaller = { ...there, memoryBytes: there.memoryBytes / 2 };
    assert.ok(
      refusals(await pair.source.source.preflight(smaller)).includes("memory_size_differs"),
    );
    const diskless = { ...there, disks: [] };
    assert.ok(refusals(await pair.source.source.preflight(diskless)).includes("disk_missing"));
    const disks = there.disks.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes * 2 }));
    const larger = refusals(await pair.source.source.preflight({ ...there, disks }));
    assert.ok(larger.includes("disk_sizes_differ"));
  });

  await casesOfWatching(pair, t);

  await t.step("a round that was not kept is part of the next one", async () => {
    const book = notebook(pair.scratchDirectory, "not-kept");
    await pair.source.source.begin(book.options);
    const first = await pair.source.source.beginDiskRound();
    for (const round of first) {
      checkExtents(round.extents, await sizeOf(pair.source, round.diskId));
      await round.finish(false);
    }
    const second = await pair.source.source.beginDiskRound();
    for (const [index, round] of second.entries()) {
      assert.equal(round.diskId, first[index].diskId);
      for (const extent of first[index].extents) {
        assert.ok(covers(round.extents, extent), `${round.diskId} lost ${JSON.stringify(extent)}`);
      }
      await round.finish(true);
    }
    await pair.source.source.restore(book.notes, book.options);
    await runsAndWorks(pair);
  });

  await t.step("writes made during a round are the backlog of the next one", async () => {
    const book = notebook(pair.scratchDirectory, "backlog");
    await pair.source.source.begin(book.options);
    for (const round of await pair.source.source.beginDiskRound()) await round.finish(true);
    while (dirtyBytes(await pair.source.source.dirtyDisks()) === 0) {
      await pair.untilItWorked(pair.source);
    }
    const rounds = await pair.source.source.beginDiskRound();
    assert.ok(rounds.some(({ extents }) => extents.length > 0), "the next round is empty");
    for (const round of rounds) await round.finish(true);
    await pair.source.source.restore(book.notes, book.options);
  });

  await t.step("a memory stream cancelled at any point leaves the machine running", async () => {
    const book = notebook(pair.scratchDirectory, "cancel");
    await pair.destination.destination.prepare(moveOptions(pair, "incoming"));
    await pair.source.source.begin(book.options);

    const unread = await pair.source.source.startMemory();
    await unread.cancel();
    await unread.cancel();
    await runsAndWorks(pair);

    const early = await pair.source.source.startMemory();
    const items = early.items()[Symbol.asyncIterator]();
    assert.ok((await kindsUntilMemory(items)).includes("layout"), "pages came before the layout");
    await early.cancel();
    await runsAndWorks(pair);

    const held = await pair.source.source.startMemory();
    const heldPipe = new MemoryPipe(held, pair.destination.destination);
    await heldPipe.untilPass(2);
    await held.cancel();
    await heldPipe.drained;
    await runsAndWorks(pair);

    await pair.destination.destination.resetMemory();
    const gated = await pair.source.source.startMemory();
    const gatedPipe = new MemoryPipe(gated, pair.destination.destination);
    await gatedPipe.untilPass(2);
    await gatedPipe.race(gated.pauseAtGate());
    assert.equal(await pair.source.runState(), "paused");
    await gated.cancel();
    await gatedPipe.drained;
    await runsAndWorks(pair);
    await pair.source.source.restore(book.notes, book.options);
  });

  await t.step("the gate stays closed until it is released, and then again", async () => {
    const book = notebook(pair.scratchDirectory, "gate");
    const events = listen(pair.source);
    await pair.destination.destination.resetMemory();
    await pair.source.source.begin(book.options);
    const stream = await pair.source.source.startMemory();
    const pipe = new MemoryPipe(stream, pair.destination.destination);
    await pipe.untilPass(4);
    await pair.untilItWorked(pair.source);
    assert.equal(await pair.source.runState(), "running");
    assert.deepEqual(events.kinds(), []);

    await pipe.race(stream.pauseAtGate());
    assert.equal(await pair.source.runState(), "paused");
    assert.deepEqual(events.kinds(), ["stopped"]);
    await pipe.quiet();
    const atGate = pipe.itemCount;
    for (let look = 0; look < 20; look++) assert.equal(await pair.source.runState(), "paused");
    assert.equal(pipe.itemCount, atGate, "items came through the gate");
    await stream.cancel();
    await pipe.drained;
    assert.deepEqual(events.kinds(), ["stopped", "resumed"]);
    events.stop();
    await pair.source.source.restore(book.notes, book.options);
  });

  await t.step("a machine whose gateway crashed at the gate runs again by restore", async () => {
    const book = notebook(pair.scratchDirectory, "crash");
    await pair.destination.destination.resetMemory();
    await pair.source.source.begin(book.options);
    for (const round of await pair.source.source.beginDiskRound()) await round.finish(true);
    const stream = await pair.source.source.startMemory();
    const pipe = new MemoryPipe(stream, pair.destination.destination);
    await pipe.untilPass(2);
    await pipe.race(stream.pauseAtGate());
    pair.source = await pair.reattachSource();
    await pipe.drained.catch(() => {});
    assert.equal(await pair.source.runState(), "paused");
    await pair.source.source.restore(book.notes, book.options);
    await runsAndWorks(pair);
    await pair.source.source.restore(book.notes, book.options);
    await runsAndWorks(pair);
  });

  await t.step("a machine whose gateway crashed after the end runs again by restore", async () => {
    const book = notebook(pair.scratchDirectory, "late-crash");
    await pair.destination.destination.resetMemory();
    await pair.source.source.begin(book.options);
    const stream = await pair.source.source.startMemory();
    const pipe = new MemoryPipe(stream, pair.destination.destination);
    await pipe.race(stream.pauseAtGate());
    await Promise.all([stream.finish(), pipe.drained]);
    assert.equal(await pair.source.runState(), "postmigrate");
    pair.source = await pair.reattachSource();
    assert.equal(await pair.source.runState(), "postmigrate");
    await pair.source.source.restore(book.notes, book.options);
    await runsAndWorks(pair);
  });

  await t.step("what the waiting machine's disks hold can be read", async () => {
    const { destination } = pair.destination;
    for (const { id, sizeBytes } of (await pair.destination.describe()).disks) {
      const extents = await destination.diskContent(id);
      checkExtents(extents, sizeBytes);
      assert.equal(extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0), sizeBytes);
      const written = Uint8Array.from({ length: 128 * 1024 }, (_, at) => at % 251 + 1);
      await destination.writeDisk(id, 64 * 1024, written);
      await destination.zeroDisk(id, 96 * 1024, 8192);
      written.fill(0, 32 * 1024, 40 * 1024);
      const read = new Uint8Array(written.length);
      await destination.readDisk(id, 64 * 1024, read);
      assert.ok(read.every((byte, at) => byte === written[at]), `${id} reads otherwise`);
      const data = (await destination.diskContent(id)).filter(({ kind }) => kind === "data");
      assert.ok(covers(data, { offsetBytes: 64 * 1024, lengthBytes: 32 * 1024 }), id);
      assert.ok(covers(data, { offsetBytes: 104 * 1024, lengthBytes: 88 * 1024 }), id);
    }
  });

  await t.step("abandon ends the machine that waited, once and again", async () => {
    await pair.destination.destination.abandon();
    await pair.destination.destination.abandon();
    assert.equal(await pair.destination.runState(), "gone");
    pair.destination = await pair.renewDestination();
    assert.equal(await pair.destination.runState(), "incoming");
  });

  await t.step("a move under constant writing loses nothing", async () => {
    const book = notebook(pair.scratchDirectory, "move");
    const events = listen(pair.destination);
    await pair.source.source.begin(book.options);
    await pair.destination.destination.prepare(moveOptions(pair, "incoming"));
    const { pausedAtMs } = await moveAll(pair.source.source, pair.destination.destination, {
      disksBeforeGate: 3,
      whileHeld: () => pair.untilItWorked(pair.source),
    });
    assert.ok(Number.isFinite(pausedAtMs));
    assert.equal(await pair.source.runState(), "postmigrate");
    assert.equal(await pair.destination.runState(), "paused");
    assert.equal(await pair.firstDiskDifference(), null);
    assert.deepEqual(events.kinds().filter((kind) => kind === "resumed"), []);
    events.stop();
    await pair.destination.destination.start();
    assert.equal(await pair.destination.runState(), "running");
    await pair.untilItWorked(pair.destination);
    const verdict = await pair.verify(pair.destination);
    assert.ok(verdict.ok, verdict.detail);
  });

  await t.step("retire ends the machine at the source", async () => {
    await pair.source.source.retire(false);
    assert.equal(await pair.source.runState(), "gone");
    await assert.rejects(() => pair.source.describe(), {
      name: "GatewayError",
      code: "guest_gone",
    });
  });
}

async function casesOfAPausedMove(pair: GuestPair, t: Deno.TestContext): Promise<void> {
  await t.step("stop-and-copy brings over a machine that was paused, and it stays so", async () => {
    const book = notebook(pair.scratchDirectory, "paused");
    await pair.source.source.begin(book.options);
    await pair.destination.destination.prepare(moveOptions(pair, "incoming"));
    await pair.source.source.pause();
    await pair.source.source.pause();
    assert.equal(await pair.source.runState(), "paused");
    await pair.source.source.resume();
    await runsAndWorks(pair);
    await pair.source.source.pause();
    await moveAll(pair.source.source, pair.destination.destination, { disksBeforeGate: 1 });
    assert.equal(await pair.destination.runState(), "paused");
    assert.equal(await pair.firstDiskDifference(), null);
  });

  await t.step("retire can leave the machine at the source as it is", async () => {
    await pair.source.source.retire(true);
    assert.equal(await pair.source.runState(), "postmigrate");
  });

  await t.step("a machine that has arrived runs whole when it is started", async () => {
    await pair.destination.destination.start();
    await pair.untilItWorked(pair.destination);
    const verdict = await pair.verify(pair.destination);
    assert.ok(verdict.ok, verdict.detail);
  });

  await t.step("a machine killed while it gives its memory away ends the stream", async () => {
    const book = notebook(pair.scratchDirectory, "killed");
    const moved = pair.destination;
    const gone = untilGone(moved);
    await moved.source.begin(book.options);
    const stream = await moved.source.startMemory();
    const items = stream.items()[Symbol.asyncIterator]();
    await items.next();
    await pair.kill(moved);
    await assert.rejects(async () => {
      while (!(await items.next()).done);
    }, hasCode("guest_gone", "memory_stream_failed"));
    assert.equal((await gone).guestInitiated, false);
    assert.equal(await moved.runState(), "gone");
    await assert.rejects(() => moved.describe(), hasCode("guest_gone"));
  });

  await t.step("detaching leaves the machine alone, end ends it", async () => {
    pair.source = await pair.reattachSource();
    assert.equal(await pair.source.runState(), "postmigrate");
    const gone = untilGone(pair.source);
    await pair.source.end();
    await gone;
    assert.equal(await pair.source.runState(), "gone");
  });
}

function moveOptions(pair: GuestPair, label: string): MoveOptions {
  return notebook(pair.scratchDirectory, label).options;
}

async function runsAndWorks(pair: GuestPair): Promise<void> {
  assert.equal(await pair.source.runState(), "running");
  await pair.untilItWorked(pair.source);
}

function refusals(findings: Awaited<ReturnType<Guest["source"]["preflight"]>>): string[] {
  return findings.filter(({ severity }) => severity === "refusal").map(({ code }) => code);
}

async function sizeOf(guest: Guest, diskId: string): Promise<number> {
  const disk = (await guest.describe()).disks.find(({ id }) => id === diskId);
  assert.ok(disk, `a round of ${diskId}, which the machine does not have`);
  return disk.sizeBytes;
}

/** Reads on until the first memory content; what comes before it is opaque or the layout. */
async function kindsUntilMemory(items: AsyncIterator<MemoryItem[]>): Promise<string[]> {
  for (const before: string[] = [];;) {
    for (const { kind } of (await items.next()).value as MemoryItem[]) {
      if (kind === "pages" || kind === "zeros") return before;
      before.push(kind);
    }
  }
}

type Span = { readonly offsetBytes: number; readonly lengthBytes: number };

function checkExtents(extents: readonly Span[], sizeBytes: number): void {
  let end = 0;
  for (const { offsetBytes, lengthBytes } of extents) {
    assert.ok(offsetBytes >= end && lengthBytes > 0, "extents must be sorted and not overlap");
    end = offsetBytes + lengthBytes;
  }
  assert.ok(end <= sizeBytes, `extents end at ${end}, the disk at ${sizeBytes}`);
}

/** Whether `extents`, sorted, hold every byte of `span`. */
function covers(extents: readonly Span[], span: Span): boolean {
  let at = span.offsetBytes;
  for (const { offsetBytes, lengthBytes } of extents) {
    if (offsetBytes <= at) at = Math.max(at, offsetBytes + lengthBytes);
  }
  return at >= span.offsetBytes + span.lengthBytes;
}

function listen(guest: Guest): { kinds(): string[]; stop(): void } {
  const events: GuestEvent[] = [];
  const stop = guest.onEvent((event) => events.push(event));
  const kinds = () => events.map(({ kind }) => kind).filter((kind) => kind !== "log");
  return { kinds, stop };
}

function untilGone(guest: Guest): Promise<GuestEvent & { kind: "gone" }> {
  return new Promise((resolve) => {
    guest.onEvent((event) => event.kind === "gone" && resolve(event));
  });
}

function hasCode(...codes: string[]): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof GatewayError && codes.includes(thrown.code);
}
