import type { DirtySample } from "../../guest/dirty_sample.ts";
import type { DiskDescription, GuestDescription } from "../../guest/guest.ts";
import { HANDOVER_WORK_MS } from "../../migration/control/forecast.ts";
import { type MachineModel, machineModel, type WrittenSet } from "../../migration/control/model.ts";
import { shownBytes } from "../../migration/control/words.ts";
import { type Ends, ends } from "./ends.ts";
import type { Held } from "./held.ts";
import { diskSet, memorySets } from "./written_sets.ts";

const MIB = 1024 * 1024;

/** Wire bytes for each byte where nobody looked: from nearly empty to incompressible. */
const RATIO_UNKNOWN: Ends<number> = { low: 0.2, expected: 0.45, high: 1.05 };
/** Of what was sent before, as differences. */
const REWRITE_UNKNOWN: Ends<number> = { low: 0.1, expected: 0.3, high: 1 };
/** A look at a part of the content may be off by this; duplicates are not seen in it. */
const RATIO_ERROR: Ends<number> = { low: 0.85, expected: 1, high: 1.1 };
const REWRITE_ERROR: Ends<number> = { low: 0.75, expected: 1, high: 1.4 };
/** Numbers and frames around contents, for each byte of them. */
const OVERHEAD = 0.004;
/** What is at the destination already may have changed since; share of it that is sent again. */
const HELD_CHANGED: Ends<number> = { low: 0.02, expected: 0.15, high: 1 };
/** The same of an image that is there, and of which nobody knows whether it was this machine's. */
const IMAGE_CHANGED: Ends<number> = { low: 0.02, expected: 0.5, high: 1 };
/** Less than this in an image is its own tables. */
const HELD_BYTES_MIN = 4 * MIB;

/** Where nothing was sampled: sets as shares of memory, and how fast they are written. */
const WRITTEN_UNKNOWN: Ends<{ readonly share: number; readonly bytesPerSecond: number }> = {
  low: { share: 0, bytesPerSecond: 0 },
  expected: { share: 0.05, bytesPerSecond: 1_000_000 },
  high: { share: 0.2, bytesPerSecond: 5_000_000 },
};
const DISK_WRITTEN_UNKNOWN: Ends<number> = { low: 0, expected: 200_000, high: 2_000_000 };

/** QEMU tells what memory gets written in whole MiB/s. */
const STEP_BYTES_PER_SECOND: Record<GuestDescription["kind"], number> = { qemu: MIB, reference: 0 };
/** How fast one gateway reads and packs: 1 GiB took 40 s (docs/results.md, what a gateway costs). */
const READ_BYTES_PER_SECOND: Ends<number> = { low: 60e6, expected: 30e6, high: 20e6 };
/** Of the expected work of a hand-over. */
const WORK_ERROR: Ends<number> = { low: 0.7, expected: 1, high: 1.7 };

/** What a look into an image has found. */
export interface ImageContent {
  /** What of it is not zero; null where that cannot be told from the file. */
  readonly filledBytes: number | null;
  /** Wire bytes for each byte of that; 0 where all is zero. */
  readonly wireRatio: number;
}

export interface MachineInput {
  readonly description: GuestDescription;
  /** Null where the machine was not watched. */
  readonly sample: DirtySample | null;
  /** By disk id, as far as images could be looked at. */
  readonly images: ReadonlyMap<string, ImageContent>;
  /** What the destination has already; null while it has not said. */
  readonly held: Held | null;
  readonly mayThrottleDisks: boolean;
}

export interface MachineEstimate {
  readonly machine: Ends<MachineModel>;
  readonly remarks: readonly string[];
}

/** What is known of a machine, as models of it. */
export function estimateMachine(input: MachineInput): MachineEstimate {
  const { description, sample, images } = input;
  const { memoryBytes } = description;
  const disks = description.disks.filter(({ readOnly }) => !readOnly);
  const sets = writtenSets(input);
  const ratio = memoryRatio(sample);
  const rewrite = sample?.memory.rewriteRatio ?? null;
  const first = ends((end) => ratio[end] * memoryMissing(input, end));
  const rewrites = ends((end) =>
    OVERHEAD + (rewrite === null ? REWRITE_UNKNOWN[end] : rewrite * REWRITE_ERROR[end])
  );
  const diskRatio = ends((end) => ratioOfDisks(disks, images)[end]);
  const machine = ends((end): MachineModel =>
    machineModel({
      memoryBytes,
      written: sets[end],
      memoryWireRatio: first[end],
      rewriteWireRatio: Math.min(RATIO_UNKNOWN.high, rewrites[end]),
      disks: description.disks.map((disk) => ({
        id: disk.id,
        allocatedBytes: firstCopyBytes(disk, input, end) / diskRatio[end],
        written: diskWritten(disk, input)[end],
      })),
      diskWireRatio: diskRatio[end],
      readBytesPerSecond: READ_BYTES_PER_SECOND[end],
      poolBytes: Math.min(memoryBytes, machineModel().poolBytes),
      isRunning: description.runState === "running",
      canHold: description.canHoldSwitchover,
      canThrottleDisks: input.mayThrottleDisks,
      handoverWorkMs: HANDOVER_WORK_MS * WORK_ERROR[end],
    })
  );
  return { machine, remarks: remarksOf(input) };
}

function writtenSets({ description, sample }: MachineInput): Ends<WrittenSet[]> {
  const { memoryBytes, kind, runState } = description;
  if (runState !== "running") return ends(() => []);
  if (sample !== null) {
    return memorySets(memoryBytes, sample.memory.windows, STEP_BYTES_PER_SECOND[kind]);
  }
  return ends((end) => {
    const { share, bytesPerSecond } = WRITTEN_UNKNOWN[end];
    return share === 0 ? [] : [{ bytes: memoryBytes * share, bytesPerSecond }];
  });
}

/** Of a first copy of all memory. */
function memoryRatio(sample: DirtySample | null): Ends<number> {
  const { zeroShare, wireRatio } = sample?.memory ?? { zeroShare: null, wireRatio: null };
  if (zeroShare === null) return RATIO_UNKNOWN;
  return ends((end) => OVERHEAD + (1 - zeroShare) * (wireRatio ?? 0) * RATIO_ERROR[end]);
}

/** Share of memory that has to be sent in spite of what is there. */
function memoryMissing({ description, held }: MachineInput, end: keyof Ends<unknown>): number {
  const share = Math.min(1, (held?.memoryBytes ?? 0) / description.memoryBytes);
  return 1 - share * (1 - HELD_CHANGED[end]);
}

/** Wire bytes of a disk's first round. */
function firstCopyBytes(
  { id, sizeBytes, allocatedBytes, readOnly }: DiskDescription,
  { images, held }: MachineInput,
  end: keyof Ends<unknown>,
): number {
  const taken = Math.min(sizeBytes, allocatedBytes ?? sizeBytes);
  const content = images.get(id);
  const wire = content === undefined
    ? taken * RATIO_UNKNOWN[end]
    : Math.min(taken, content.filledBytes ?? taken) *
      (OVERHEAD + content.wireRatio * RATIO_ERROR[end]);
  const there = held?.disks.find((disk) => disk.id === id);
  const thereBytes = there?.bytes ?? 0;
  if (thereBytes < HELD_BYTES_MIN || taken === 0) return wire;
  // Media that are only read are the same at both sites where anybody prepared the move.
  const changed = (there!.isKnown || readOnly ? HELD_CHANGED : IMAGE_CHANGED)[end];
  return wire * (1 - Math.min(1, thereBytes / taken) * (1 - changed));
}

/** What disks' contents take on the wire when they are written anew. */
function ratioOfDisks(
  disks: readonly DiskDescription[],
  images: MachineInput["images"],
): Ends<number> {
  const known = disks.flatMap(({ id }) => images.get(id)?.wireRatio || []);
  if (known.length === 0 || known.length < disks.length) return RATIO_UNKNOWN;
  const mean = known.reduce((sum, ratio) => sum + ratio, 0) / known.length;
  return ends((end) => OVERHEAD + mean * REWRITE_ERROR[end]);
}

function diskWritten(
  { id, sizeBytes, readOnly }: DiskDescription,
  { description, sample }: MachineInput,
): Ends<WrittenSet> {
  const seen = sample?.disks.find((disk) => disk.id === id);
  if (readOnly || description.runState !== "running") {
    return ends(() => ({ bytes: 0, bytesPerSecond: 0 }));
  }
  if (seen !== undefined) return diskSet(sizeBytes, seen);
  return ends((end) => ({ bytes: sizeBytes, bytesPerSecond: DISK_WRITTEN_UNKNOWN[end] }));
}

function remarksOf({ description, sample, images, held }: MachineInput): string[] {
  const { disks, runState } = description;
  const unlooked = disks.filter(({ id }) => !images.has(id)).map(({ id }) => id);
  return [
    ...(sample === null && runState === "running"
      ? ["what the machine writes was not sampled: 1 MB/s is assumed, between none and 5"]
      : []),
    ...(sample?.memory.zeroShare === null
      ? ["contents of memory were not looked at: ranges cover nearly empty to incompressible"]
      : []),
    ...(unlooked.length === 0 ? [] : [
      `contents of disk ${unlooked.join(", ")} were not looked at: ranges cover nearly empty ` +
      "to incompressible",
    ]),
    ...disks.filter(({ allocatedBytes }) => allocatedBytes === null).map(({ id }) =>
      `what disk ${id} takes on its storage is not known: its whole size is counted`
    ),
    ...heldRemarks(held),
  ];
}

function heldRemarks(held: Held | null): string[] {
  if (held === null) {
    return ["what the destination has already is not known: it may shorten the move"];
  }
  return [
    ...(held.memoryBytes > 0
      ? [
        `the destination has ${shownBytes(held.memoryBytes)} of this memory from before: what is ` +
        "equal is not sent again",
      ]
      : []),
    ...held.disks.filter(({ bytes }) => bytes >= HELD_BYTES_MIN).map(({ id, bytes, isKnown }) =>
      `the destination's image of ${id} holds ${shownBytes(bytes)}` +
      (isKnown ? " from before" : ", whoever wrote them") + ": what is equal is not sent again"
    ),
    ...(held.storeBytes > 0
      ? [
        `the destination's content store has ${
          shownBytes(held.storeBytes)
        } from this site, which ` +
        "may shorten the move further",
      ]
      : []),
  ];
}
