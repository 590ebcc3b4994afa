/**
 * How fast the first round of a disk is planned, packed and handed over by one thread and its
 * workers: with one batch under way, which is what happened before batches were packed ahead, and
 * with as many as the workers have room for. The link takes everything at once.
 *
 *     bench/disk_round.ts [--quick] [--mib 128] [--repeat 5] [--workers N] [--json FILE]
 */
import { randomFillSync } from "node:crypto";
import { parseArgs } from "node:util";
import type { OpenBatch } from "../src/codec/envelope.ts";
import type { Sealer } from "../src/codec/sealer.ts";
import type { DiskRound } from "../src/guest/guest.ts";
import { systemClock } from "../src/host/system_clock.ts";
import type { Channel } from "../src/link/peer_link.ts";
import { DiskPlanner } from "../src/migration/source/disk_planner.ts";
import { sendDiskRound } from "../src/migration/source/disks.ts";
import { TrafficMeter } from "../src/migration/traffic.ts";
import { WorkerSealer, workersForThisMachine } from "../src/sealing/worker_sealer.ts";
import { setting } from "./setting.ts";

const MIB = 2 ** 20;
const UNIT_BYTES = 4096;
/** Every second unit can be packed, to about a third. */
const LETTERS = 8;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    mib: { type: "string" },
    repeat: { type: "string" },
    workers: { type: "string" },
    json: { type: "string" },
  },
});
const mib = Number(values.mib ?? (values.quick ? 16 : 128));
const repeats = Number(values.repeat ?? (values.quick ? 1 : 5));
const workers = Number(values.workers ?? workersForThisMachine());

const disk = new Uint8Array(mib * MIB);
for (let at = 0; at < disk.byteLength; at += UNIT_BYTES) {
  const unit = disk.subarray(at, at + UNIT_BYTES);
  randomFillSync(unit);
  if (at / UNIT_BYTES % 2 === 0) unit.forEach((byte, i) => unit[i] = 97 + byte % LETTERS);
}

const round: DiskRound = {
  diskId: "disk",
  extents: [{ kind: "data", offsetBytes: 0, lengthBytes: disk.byteLength }],
  read: (offsetBytes, into) => {
    into.set(disk.subarray(offsetBytes, offsetBytes + into.byteLength));
    return Promise.resolve();
  },
  finish: () => Promise.resolve(),
};

const sealer = new WorkerSealer({ workers, clock: systemClock(), log: console.error });
sealer.expect(Infinity);

interface Run {
  /** Batches under way at most. */
  readonly ahead: number;
  /** Of the disk. */
  readonly mbPerSecond: number;
  /** That were handed over. */
  readonly bytes: number;
}

async function run(ahead: number): Promise<Run> {
  let [bytes, frames] = [0, 0];
  const channel: Pick<Channel, "send" | "lastSent"> = {
    get lastSent() {
      return frames;
    },
    send: (_type, payload) => {
      bytes += payload.byteLength;
      return Promise.resolve(++frames);
    },
  };
  const limited: Sealer = { ahead, seal: (batch: OpenBatch) => sealer.seal(batch) };
  const beganMs = performance.now();
  await sendDiskRound([round], {
    planner: new DiskPlanner([disk.byteLength]),
    disk: () => ({ number: 0, sizeBytes: disk.byteLength }),
    channel: channel as Channel,
    meter: new TrafficMeter(),
    passed: () => {},
    first: true,
    sealer: limited,
    stop: new AbortController().signal,
  });
  const seconds = (performance.now() - beganMs) / 1000;
  return { ahead, mbPerSecond: disk.byteLength / 1e6 / seconds, bytes };
}

const runs: Run[] = [];
try {
  const most = sealer.ahead;
  await run(most);
  for (let i = 0; i < repeats; i++) for (const ahead of [1, most]) runs.push(await run(ahead));
  const medians = [1, most].map((ahead) => {
    const rates = runs.filter((each) => each.ahead === ahead).map((each) => each.mbPerSecond)
      .sort((a, b) => a - b);
    const [least, median, best] = [0, rates.length >> 1, rates.length - 1].map((i) => rates[i]);
    const spread = `(${least.toFixed(0)}-${best.toFixed(0)})`;
    console.log(`${ahead} under way`.padEnd(14) + `${median.toFixed(0)} ${spread} MB/s`);
    return median;
  });
  console.log(`${(medians[1] / medians[0]).toFixed(2)} times as fast with ${workers} workers`);
} finally {
  sealer.close();
}
if (values.json !== undefined) {
  const document = { ...await setting(), mib, workers, runs };
  await Deno.writeTextFile(values.json, JSON.stringify(document, null, 1) + "\n");
}
