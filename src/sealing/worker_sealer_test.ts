import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteSink } from "../codec/bytes.ts";
import { BODY_BYTES_MAX, open, type OpenBatch, openBatch, pack } from "../codec/envelope.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import type { WorkerPort } from "./packer.ts";
import { SLOT_BODY_BYTES, SLOTS_PER_WORKER } from "./slots.ts";
import {
  WORKER_BODY_BYTES_MIN,
  WORKER_IDLE_MS,
  WorkerSealer,
  type WorkerSealerOptions,
} from "./worker_sealer.ts";

const WORKER = new URL("./seal_worker.ts", import.meta.url);
const KIB = 1024;

/** Contents that differ by seed and compress to about half. */
function batch(seed: number, bytes: number, level: number | null = 1): OpenBatch {
  const contents = new ByteSink(bytes);
  let state = seed + 1;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    contents.u8((state >>> 16) & 15);
  }
  return openBatch(contents, Uint8Array.of(seed % 256, 7), level);
}

/** Workers of which the test can see how many there were, and what they were given. */
function sealer(options: Partial<WorkerSealerOptions> = {}) {
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const started = { workers: 0, jobs: 0 };
  const start = (): WorkerPort => {
    started.workers++;
    const port: WorkerPort = options.start?.() ?? new Worker(WORKER, { type: "module" });
    const post = port.postMessage.bind(port);
    port.postMessage = (message) => {
      if (!(message instanceof SharedArrayBuffer)) started.jobs++;
      post(message);
    };
    return port;
  };
  const sealer = new WorkerSealer({
    workers: 1,
    warmUpBytes: 0,
    clock,
    log: (_, message) => warnings.push(message),
    ...options,
    start,
  });
  return { sealer, clock, started, warnings };
}

Deno.test("payloads of workers are those that this thread would have packed", async () => {
  const { sealer: packing, started } = sealer({ workers: 2 });
  try {
    const sizes = [1, 5 * KIB, 256 * KIB, 320 * KIB, SLOT_BODY_BYTES - 2, SLOT_BODY_BYTES];
    const batches = sizes.flatMap((bytes, i) => [
      batch(i, bytes),
      batch(i, bytes, 3),
      batch(i, bytes, null),
    ]);
    const payloads = await Promise.all(batches.map((each) => packing.seal(each)));
    batches.forEach((each, i) => assert.deepEqual(payloads[i], pack(each), `batch ${i}`));
    assert(started.jobs > 0, "some were packed by workers");
    assert.equal(started.workers, 2);
    const { contents } = open(payloads[6]);
    assert.equal(contents.byteLength, 256 * KIB);
  } finally {
    packing.close();
  }
});

Deno.test("what a batch is made of may be written to as soon as it was taken", async () => {
  const { sealer: packing, started } = sealer();
  try {
    const given = batch(1, 128 * KIB);
    const expected = pack(given);
    const sealed = packing.seal(given);
    given.body.fill(0);
    assert.deepEqual(await sealed, expected);
    assert.equal(started.jobs, 1);
  } finally {
    packing.close();
  }
});

Deno.test("small, raw and very long batches do not go to a worker, nor do the first MiB", async () => {
  const { sealer: packing, started } = sealer();
  await packing.seal(batch(1, WORKER_BODY_BYTES_MIN - 3));
  await packing.seal(batch(2, 256 * KIB, null));
  await packing.seal(batch(3, BODY_BYTES_MAX - 2));
  assert.equal(started.workers, 0);

  const { sealer: cold, started: later } = sealer({ warmUpBytes: 512 * KIB });
  for (let i = 0; i < 2; i++) await cold.seal(batch(i, 256 * KIB));
  assert.equal(later.workers, 0);
  await cold.seal(batch(2, 256 * KIB));
  assert.equal(later.workers, 1);
  cold.close();
});

Deno.test("a worker is there from the beginning where more is expected than is packed without one", async () => {
  const { sealer: packing, started } = sealer({ warmUpBytes: 512 * KIB });
  try {
    packing.expect(512 * KIB);
    assert.equal(started.workers, 0);
    packing.expect(513 * KIB);
    packing.expect(1e9);
    assert.equal(started.workers, 1);
    await packing.seal(batch(1, 256 * KIB));
    assert.equal(started.jobs, 1);
  } finally {
    packing.close();
  }
  packing.expect(1e9);
  assert.equal(started.workers, 1);
});

Deno.test("a batch that no worker has room for is packed by who brings it", async () => {
  const { sealer: packing, started } = sealer();
  try {
    const batches = Array.from({ length: 12 }, (_, i) => batch(i, 256 * KIB));
    const payloads = await Promise.all(batches.map((each) => packing.seal(each)));
    batches.forEach((each, i) => assert.deepEqual(payloads[i], pack(each)));
    assert.equal(started.jobs, SLOTS_PER_WORKER);
    assert.equal(packing.ahead, SLOTS_PER_WORKER + 1);
  } finally {
    packing.close();
  }
});

Deno.test("without workers, or after the end, everything is packed here", async () => {
  const none = sealer({ workers: 0 });
  assert.equal(none.sealer.ahead, 1);
  const given = batch(1, 256 * KIB);
  assert.deepEqual(await none.sealer.seal(given), pack(given));
  assert.equal(none.started.workers, 0);

  const { sealer: ended, started } = sealer();
  const underWay = ended.seal(given);
  ended.close();
  assert.deepEqual(await underWay, pack(given), "what a worker had is not lost");
  assert.deepEqual(await ended.seal(given), pack(given));
  assert.equal(started.workers, 1);
  assert.equal(ended.ahead, 1);
});

Deno.test("idle workers are ended, and start again when they are needed", async () => {
  const { sealer: packing, clock, started } = sealer();
  try {
    await packing.seal(batch(1, 256 * KIB));
    await clock.advance(WORKER_IDLE_MS - 1);
    await packing.seal(batch(2, 256 * KIB));
    await clock.advance(WORKER_IDLE_MS - 1);
    assert.equal(packing.workerCount, 1);
    await clock.advance(1);
    assert.equal(packing.workerCount, 0);
    await packing.seal(batch(3, 256 * KIB));
    assert.equal(started.workers, 2);
  } finally {
    packing.close();
  }
});

Deno.test("a worker that dies is replaced, and no batch of it is lost", async () => {
  // It ends at the second batch, with an error that nobody there catches.
  const mortal = () => {
    const code = `let jobs = 0; globalThis.onmessage = ({ data }) => {
      if (data instanceof SharedArrayBuffer) return import(${JSON.stringify(WORKER.href)})
        .then(() => { const real = globalThis.onmessage; real({ data });
          globalThis.onmessage = (event) => {
            if (++jobs === 2) throw new Error("died on purpose");
            real(event);
          };
          for (const event of early.splice(0)) globalThis.onmessage(event); });
      early.push({ data });
    }; const early = [];`;
    return new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module" });
  };
  const { sealer: packing, started, warnings } = sealer({ start: mortal });
  try {
    for (let round = 0; round < 3; round++) {
      const batches = [batch(2 * round, 256 * KIB), batch(2 * round + 1, 128 * KIB)];
      const payloads = await Promise.all(batches.map((each) => packing.seal(each)));
      batches.forEach((each, i) => assert.deepEqual(payloads[i], pack(each)));
    }
    assert.equal(started.workers, 3);
    assert.equal(warnings.length, 3);
    assert.match(warnings[0], /died on purpose; another takes its place/);
  } finally {
    packing.close();
  }
});

Deno.test("where workers cannot be started, or die at once, packing goes on without", async () => {
  const refused = sealer({
    start: () => {
      throw new Error("not here");
    },
  });
  const dead = sealer({
    start: () =>
      new Worker("data:text/javascript,throw new Error('no')", { type: "module" }) as WorkerPort,
  });
  for (const { sealer: packing, started, warnings } of [refused, dead]) {
    for (let i = 0; i < 6; i++) {
      const given = batch(i, 256 * KIB);
      assert.deepEqual(await packing.seal(given), pack(given));
    }
    assert.equal(started.workers, 3);
    assert.match(warnings.at(-1)!, /no more are started/);
    assert.equal(packing.ahead, 1);
    packing.close();
  }
});

Deno.test("any batches, however many at once, come out as they went in", async () => {
  const { sealer: packing } = sealer({ workers: 2 });
  const sizes = fc.array(fc.integer({ min: 1, max: 400 * KIB }), { minLength: 1, maxLength: 12 });
  try {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(255), async (sizes, seed) => {
        const batches = sizes.map((bytes, i) => batch(seed + i, bytes));
        const payloads = await Promise.all(batches.map((each) => packing.seal(each)));
        payloads.forEach((payload, i) => {
          const { contents, description } = open(payload);
          assert.equal(contents.byteLength, sizes[i]);
          assert.deepEqual([...description], [(seed + i) % 256, 7]);
          assert.deepEqual(payload, pack(batches[i]));
        });
      }),
      { numRuns: 8, seed: 3 },
    );
  } finally {
    packing.close();
  }
});
