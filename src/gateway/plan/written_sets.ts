import type { DirtyWindow, DiskSample } from "../../guest/dirty_sample.ts";
import type { WrittenSet } from "../../migration/control/model.ts";
import { type End, type Ends, ends } from "./ends.ts";

/**
 * Of the growth from the short window to the long one, the part that goes on for ever. All of it at
 * most: what is written grows slower and slower, as places come round again.
 */
const GROWTH_SHARE: Ends<number> = { low: 0.1, expected: 0.33, high: 1 };
/**
 * A hot set that is full in the short window may be written once in it or a thousand times: so often
 * is assumed at most.
 */
const TURNS_MAX: Ends<number> = { low: 2, expected: 4, high: 8 };
/** A set that no window shows full is taken to be so many times what was seen. */
const UNSEEN_FACTOR: Ends<number> = { low: 4, expected: 16, high: Infinity };
/** Disks of a kind that cannot tell how often it writes the same place: full after so long, s. */
const DISK_FULL_SECONDS: Ends<number> = { low: 5, expected: 60, high: Infinity };
/** Where a window shows nothing and steps are coarse, of one step. */
const BELOW_STEP: Ends<number> = { low: 0, expected: 0.25, high: 1 };
/** Where it shows something, steps that it may be off by. */
const STEP_ERROR: Ends<number> = { low: -0.5, expected: 0, high: 0.5 };
/** A set is never taken to be written to its last byte. */
const LEFT_MIN = 1e-4;
const BISECTIONS = 40;

/** A watch of this length saw this much written, each place counted once. */
interface Seen {
  readonly seconds: number;
  readonly bytes: number;
}

/**
 * Where a machine writes its memory, from two windows of different length: what does not grow with
 * the length is a hot set, what does is spread over the rest.
 *
 * @param windows shortest first
 * @param stepBytesPerSecond steps in which a window can tell a rate; 0: exactly
 */
export function memorySets(
  memoryBytes: number,
  windows: readonly DirtyWindow[],
  stepBytesPerSecond: number,
): Ends<WrittenSet[]> {
  return ends((end) => {
    const [short, long] = asSeen(windows, stepBytesPerSecond, end);
    const growth = Math.max(0, long.bytes - short.bytes) / (long.seconds - short.seconds);
    const spread = Math.min(growth * GROWTH_SHARE[end], long.bytes / long.seconds);
    const without = ({ seconds, bytes }: Seen) => ({ seconds, bytes: bytes - spread * seconds });
    // The rest has to have room for what is written there.
    const hotMax = Math.max(0, memoryBytes - 2 * spread * long.seconds);
    const hot = fit(without(short), without(long), hotMax, end);
    const rest = covering(memoryBytes - hot.bytes, spread * long.seconds, long.seconds);
    return [hot, rest].filter(({ bytes, bytesPerSecond }) => bytes >= 1 && bytesPerSecond > 0);
  });
}

/** Where a machine writes a disk. */
export function diskSet(
  sizeBytes: number,
  { writtenBytesPerSecond, distinctBytes, ms }: Omit<DiskSample, "id">,
): Ends<WrittenSet> {
  const bytesPerSecond = writtenBytesPerSecond;
  if (bytesPerSecond <= 0) return ends(() => ({ bytes: 0, bytesPerSecond: 0 }));
  const written = bytesPerSecond * ms / 1000;
  return ends((end) => {
    const most = distinctBytes === null
      ? bytesPerSecond * DISK_FULL_SECONDS[end]
      : distinctBytes * UNSEEN_FACTOR[end];
    const bytes = distinctBytes === null ? Infinity : sizeWithTurns(written, distinctBytes);
    return { bytes: Math.min(sizeBytes, most, bytes), bytesPerSecond };
  });
}

function asSeen(
  windows: readonly DirtyWindow[],
  stepBytesPerSecond: number,
  end: End,
): [Seen, Seen] {
  const [short, long] = windows.map(({ ms, distinctBytes }) => {
    const seconds = ms / 1000;
    const steps = (distinctBytes === 0 ? BELOW_STEP : STEP_ERROR)[end];
    const bytes = distinctBytes + steps * stepBytesPerSecond * seconds;
    return { seconds, bytes: Math.max(0, bytes) };
  });
  // A window that follows another may have met a quieter time: a longer one never sees less, and
  // never more than as many short ones.
  const longBytes = Math.max(long.bytes, short.bytes);
  const shortBytes = Math.max(short.bytes, longBytes * short.seconds / long.seconds);
  return [{ ...short, bytes: shortBytes }, { ...long, bytes: longBytes }];
}

/**
 * The set of which both windows see what they saw: `seen(t) = bytes (1 - exp(-rate t / bytes))`.
 * With `left` the share that the short window leaves unwritten, the long one's is a power of it, and
 * the quotient of what they see rises with `left` alone: it is found by bisection.
 */
function fit(short: Seen, long: Seen, bytesMax: number, end: End): WrittenSet {
  if (long.bytes <= 0) return { bytes: 0, bytesPerSecond: 0 };
  const power = long.seconds / short.seconds;
  const wanted = long.bytes / Math.max(1, short.bytes);
  let [from, to] = [Math.exp(-TURNS_MAX[end]), 1];
  for (let turn = 0; turn < BISECTIONS; turn++) {
    const left = (from + to) / 2;
    if ((1 - left ** power) / (1 - left) < wanted) from = left;
    else to = left;
  }
  const bytes = long.bytes / (1 - from ** power);
  const most = Math.min(bytesMax, long.bytes * UNSEEN_FACTOR[end]);
  if (bytes < most) return { bytes, bytesPerSecond: -Math.log(from) * bytes / short.seconds };
  // Of a larger set nothing is known but how fast it is written.
  return covering(most, long.bytes, long.seconds);
}

/** A set of this size of which so much is written, each place counted once, in so long. */
function covering(bytes: number, writtenBytes: number, seconds: number): WrittenSet {
  const left = Math.max(LEFT_MIN, 1 - writtenBytes / Math.max(1, bytes));
  return { bytes, bytesPerSecond: -Math.log(left) * bytes / seconds };
}

/** Size of a set of which `written` bytes reached `distinct` different ones. */
function sizeWithTurns(written: number, distinct: number): number {
  if (distinct <= 0 || distinct >= written) return Infinity;
  let [from, to] = [distinct, written * written / (written - distinct)];
  for (let turn = 0; turn < BISECTIONS; turn++) {
    const bytes = (from + to) / 2;
    if (bytes * (1 - Math.exp(-written / bytes)) < distinct) from = bytes;
    else to = bytes;
  }
  return to;
}
