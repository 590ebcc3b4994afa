import { ContentEstimate } from "../content_estimate.ts";
import type { DirtySample } from "../dirty_sample.ts";
import type { CoreMachine } from "./core_machine.ts";
import { PAGE_BYTES } from "./units.ts";

/** Pages looked at for what contents would take: 8 MiB. */
const CONTENT_PAGES_MAX = 2048;
/** Of these, between two turns of the event loop. */
const SLICE_PAGES = 64;

let samples = 0;

/**
 * Watches the machine from within: a log of the pages that get other contents, a bitmap for each
 * disk. Both go with the end of the watching, whoever still waits for it.
 *
 * @param windowsMs lengths, ascending; all windows begin now
 */
export async function sample(
  machine: CoreMachine,
  windowsMs: readonly number[],
): Promise<DirtySample> {
  const { memory, disks } = machine;
  const bitmap = `sample-${++samples}`;
  const content = new ContentEstimate();
  const pages = spreadPages(memory.pageCount);
  const before = await contentsOf(machine, pages, content);
  const startedMs = performance.now();
  const written = [...machine.diskWrittenBytes];
  const log = memory.startLog();
  for (const disk of disks) disk.startBitmap(bitmap);
  try {
    const windows: { ms: number; distinctBytes: number }[] = [];
    for (const windowMs of windowsMs) {
      const leftMs = startedMs + windowMs - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
      const ms = Math.round(performance.now() - startedMs);
      windows.push({ ms, distinctBytes: log.count * PAGE_BYTES });
    }
    const ms = Math.round(performance.now() - startedMs);
    const diskSamples = disks.map((disk, number) => ({
      id: disk.id,
      writtenBytesPerSecond: Math.round(
        (machine.diskWrittenBytes[number] - written[number]) * 1000 / ms,
      ),
      distinctBytes: disk.dirtyBytes(bitmap),
      ms,
    }));
    await compareContents(machine, pages, before, content);
    const { zeroShare, wireRatio, rewriteRatio } = content;
    return { memory: { windows, zeroShare, wireRatio, rewriteRatio }, disks: diskSamples };
  } finally {
    memory.endLog(log);
    for (const disk of disks) disk.endBitmap(bitmap);
  }
}

/** One page of each of as many equal parts of the memory, at places that follow no pattern. */
function spreadPages(pageCount: number): number[] {
  const count = Math.min(CONTENT_PAGES_MAX, pageCount);
  return Array.from({ length: count }, (_, part) => {
    const from = Math.floor(part * pageCount / count);
    const to = Math.floor((part + 1) * pageCount / count);
    return from + Math.floor(Math.random() * (to - from));
  });
}

async function contentsOf(
  { memory }: CoreMachine,
  pages: readonly number[],
  content: ContentEstimate,
): Promise<Uint8Array[]> {
  const slices: Uint8Array[] = [];
  for (let first = 0; first < pages.length; first += SLICE_PAGES) {
    const slice = copyOf(memory, pages.slice(first, first + SLICE_PAGES));
    content.add(slice);
    slices.push(slice);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return slices;
}

async function compareContents(
  { memory }: CoreMachine,
  pages: readonly number[],
  before: readonly Uint8Array[],
  content: ContentEstimate,
): Promise<void> {
  for (const [at, slice] of before.entries()) {
    content.compare(slice, copyOf(memory, pages.slice(at * SLICE_PAGES, (at + 1) * SLICE_PAGES)));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function copyOf(memory: CoreMachine["memory"], pages: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * PAGE_BYTES);
  for (const [at, page] of pages.entries()) memory.copyOut(page, bytes, at * PAGE_BYTES);
  return bytes;
}
