import assert from "node:assert/strict";
import fc from "fast-check";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { AWAY_AFTER_MS, ReadAhead } from "./read_ahead.ts";

/** A connection whose writer has `bytes` to give, `chunk` at a time, one chunk each `everyMs`. */
class Writer {
  taken = 0;
  closed = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly bytes: number,
    private readonly chunk: number,
    private readonly everyMs = 0,
  ) {}

  async read(into: Uint8Array): Promise<number | null> {
    if (this.everyMs > 0) await this.clock.sleep(this.everyMs);
    if (this.closed) throw new Error("closed");
    const count = Math.min(this.chunk, this.bytes - this.taken, into.length);
    if (count === 0) return null;
    for (let at = 0; at < count; at++) into[at] = this.taken + at;
    this.taken += count;
    return count;
  }

  close(): void {
    this.closed = true;
  }
}

function readAhead(writer: Writer, clock: VirtualClock, bytesMax?: number) {
  const away: boolean[] = [];
  const ahead = new ReadAhead(writer, { clock, bytesMax, onAway: (isAway) => away.push(isAway) });
  return { ahead, away };
}

Deno.test("nothing is read before it is asked for while the reader is there", async () => {
  const clock = new VirtualClock();
  const writer = new Writer(clock, 1_000, 100);
  const { ahead, away } = readAhead(writer, clock);
  for (const taken of [100, 200, 300]) {
    await ahead.next();
    await clock.advance(AWAY_AFTER_MS - 1);
    assert.equal(writer.taken, taken);
  }
  assert.deepEqual(away, []);
});

Deno.test("a reader that went away finds everything in order when it is back", async () => {
  const clock = new VirtualClock();
  const writer = new Writer(clock, 600, 100, 10);
  const { ahead, away } = readAhead(writer, clock);
  await clock.until(ahead.next());
  await clock.advance(AWAY_AFTER_MS + 25);
  assert.deepEqual(away, [true]);
  assert.equal(writer.taken, 300);
  const bytes: number[] = [];
  for (;;) {
    const chunk = await clock.until(ahead.next());
    if (chunk === null) break;
    bytes.push(...chunk);
  }
  assert.deepEqual(away, [true, false]);
  assert.deepEqual(bytes, Array.from({ length: 500 }, (_, at) => (100 + at) % 256));
});

Deno.test("whatever the reader's pauses, each byte arrives once, in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 2 * AWAY_AFTER_MS }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 700 }),
      async (pausesMs, everyMs) => {
        const clock = new VirtualClock();
        const { ahead } = readAhead(new Writer(clock, 2_000, 70, everyMs), clock);
        const bytes: number[] = [];
        for (let turn = 0;; turn++) {
          const chunk = await clock.until(ahead.next());
          if (chunk === null) break;
          // Still what it was, though more has been read meanwhile.
          await clock.advance(pausesMs[turn % pausesMs.length]);
          bytes.push(...chunk);
        }
        assert.deepEqual(bytes, Array.from({ length: 2_000 }, (_, at) => at % 256));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("too much for a reader that stays away ends the connection, behind what was kept", async () => {
  const clock = new VirtualClock();
  const writer = new Writer(clock, 10_000, 100, 10);
  const { ahead } = readAhead(writer, clock, 250);
  await clock.until(ahead.next());
  await clock.advance(AWAY_AFTER_MS + 1_000);
  assert.ok(writer.closed && ahead.gaveUp);
  for (const length of [100, 100, 100]) {
    assert.equal((await clock.until(ahead.next()))?.length, length);
  }
  assert.equal(await clock.until(ahead.next()), null);
});

Deno.test("one that was stopped keeps nothing, however long its reader is away", async () => {
  const clock = new VirtualClock();
  const writer = new Writer(clock, 1_000, 100);
  const { ahead, away } = readAhead(writer, clock);
  await ahead.next();
  ahead.stop();
  await ahead.next();
  await clock.advance(60_000);
  assert.equal(writer.taken, 200);
  assert.deepEqual(away, []);
});
