import fc from "fast-check";
import { StreamBuilder } from "./stream_builder.ts";

/** A random stream with what a test may want to know of it. */
export interface GeneratedStream {
  readonly bytes: Uint8Array;
  readonly pageRecords: number;
  readonly zeroRecords: number;
  /** Where the records end that the reader interprets; device state or unknown bytes follow. */
  readonly interpretedBytes: number;
}

const BLOCKS = [
  { name: "pc.ram", pages: 7 },
  { name: "/rom@etc/acpi/tables", pages: 2 },
  { name: "pc.bios", pages: 1 },
  { name: "m".repeat(255), pages: 3 },
];
const BITMAP_SECTION = 3;

const recordStep = fc.record({
  kind: fc.constantFrom("page" as const, "zero" as const),
  block: fc.nat(BLOCKS.length - 1),
  page: fc.nat(6),
  fill: fc.integer({ min: 0, max: 255 }),
  named: fc.boolean(),
}, { noNullPrototype: true });
const otherStep = fc.record({
  kind: fc.constantFrom("section" as const, "ping" as const, "bitmap" as const),
  value: fc.nat(255),
}, { noNullPrototype: true });

/** A run in which pages rise, as QEMU walks them; random single records rarely do. */
const runStep = fc.record({
  kind: fc.constant("run" as const),
  block: fc.nat(BLOCKS.length - 1),
  zeroMask: fc.nat(127),
  fill: fc.integer({ min: 0, max: 255 }),
}, { noNullPrototype: true });

const memoryStep = fc.oneof(
  { weight: 4, arbitrary: recordStep },
  { weight: 2, arbitrary: runStep },
  { weight: 2, arbitrary: otherStep },
);

/** What comes after the memory rounds. */
const ending = fc.constantFrom(
  "device" as const,
  "cutInSection" as const,
  "cutBetweenSections" as const,
  "unknownRecord" as const,
  "unknownRecordInEnd" as const,
  "delta" as const,
  "unknownElement" as const,
  "postcopy" as const,
);

/** Well-formed streams up to their ending, which is an unknown one in some. */
export const arbitraryStream: fc.Arbitrary<GeneratedStream> = fc.record({
  pageBytes: fc.constantFrom(1024, 4096),
  returnPath: fc.boolean(),
  bitmaps: fc.boolean(),
  blockCount: fc.integer({ min: 1, max: BLOCKS.length }),
  steps: fc.array(memoryStep, { maxLength: 24 }),
  endSteps: fc.array(recordStep, { maxLength: 6 }),
  ending,
  tail: fc.uint8Array({ minLength: 1, maxLength: 300 }),
}, { noNullPrototype: true }).map((plan) => {
  const { pageBytes, ending } = plan;
  const blocks = BLOCKS.slice(0, plan.blockCount);
  const stream = new StreamBuilder(pageBytes);
  let pageRecords = 0;
  let zeroRecords = 0;
  const record = (zero: boolean, block: number, page: number, fill: number, named: boolean) => {
    const { name, pages } = blocks[block % blocks.length];
    if (zero) stream.zero(name, page % pages, named);
    else stream.page(name, page % pages, patterned(pageBytes, fill), named);
    if (zero) zeroRecords++;
    else pageRecords++;
  };
  stream.fileHeader().configuration();
  if (plan.returnPath) stream.command(1).command(2, [0, 0, 0, 1]);
  stream.ramStart(blocks);
  if (plan.bitmaps) stream.bitmapSection(1, BITMAP_SECTION);
  for (const step of plan.steps) {
    if (step.kind === "section") stream.closeSection();
    else if (step.kind === "ping") stream.command(2, [0, 0, 0, step.value]);
    else if (step.kind === "bitmap") {
      if (plan.bitmaps) stream.bitmapSection(2, BITMAP_SECTION);
    } else if (step.kind === "run") {
      stream.openSection("part");
      const { pages } = blocks[step.block % blocks.length];
      for (let page = 0; page < pages; page++) {
        record((step.zeroMask >> page & 1) === 1, step.block, page, step.fill + page, false);
      }
    } else if (step.kind === "page" || step.kind === "zero") {
      stream.openSection("part");
      record(step.kind === "zero", step.block, step.page, step.fill, step.named);
    }
  }
  const atEnd = ending === "device" || ending === "unknownRecordInEnd";
  if (atEnd) {
    stream.command(11).openSection("end");
    for (const { kind, block, page, fill, named } of plan.endSteps) {
      record(kind === "zero", block, page, fill, named);
    }
  }
  if (ending === "device") {
    stream.closeSection();
    if (plan.bitmaps) stream.bitmapSection(3, BITMAP_SECTION);
  }
  if (ending === "cutInSection") stream.openSection("part");
  if (ending === "cutBetweenSections") stream.closeSection();
  if (ending === "unknownElement" || ending === "postcopy") stream.closeSection();
  if (ending === "unknownRecord" || ending === "delta") stream.openSection("part");
  const interpretedBytes = stream.build().length;
  if (ending === "device") stream.be(1, 4).be(4, 9).str8("timer").be(4, 0).be(4, 1).raw(plan.tail);
  if (ending === "unknownRecord" || ending === "unknownRecordInEnd") {
    stream.be(8, 0x200).raw(plan.tail);
  }
  if (ending === "unknownElement") stream.be(1, 0x77).raw(plan.tail);
  if (ending === "postcopy") stream.command(4).raw(plan.tail);
  if (ending === "delta") {
    stream.delta(blocks[0].name, 0, 3, [9, 8, 7]).delta(blocks[0].name, 0, 1, [5]);
    stream.closeSection();
  }
  return { bytes: stream.build(), pageRecords, zeroRecords, interpretedBytes };
});

/** Cut points for any chunking: lengths of successive chunks, repeated as needed. */
export const arbitraryChunking: fc.Arbitrary<number[]> = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 9000 })),
  { minLength: 1, maxLength: 8 },
);

/** Cuts bytes by a chunking. Each chunk is a copy that is overwritten once the next is asked. */
export function* cut(bytes: Uint8Array, chunking: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const chunk = bytes.slice(at, at + chunking[i % chunking.length]);
    yield chunk;
    at += chunk.length;
    chunk.fill(0x5a);
  }
}

function patterned(pageBytes: number, fill: number): Uint8Array {
  const page = new Uint8Array(pageBytes).fill(fill & 0xff);
  page[0] = 0x10;
  page[pageBytes - 1] = fill >>> 8;
  return page;
}
