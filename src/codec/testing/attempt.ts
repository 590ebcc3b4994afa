import assert from "node:assert/strict";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { PageImage } from "../../image/page_image.ts";
import { memorySpill } from "../../image/testing/memory_spill.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { KnownMemory } from "../known_memory.ts";
import { createMemoryDecoder, type MemoryDecoder } from "../memory_decoder.ts";
import { nameKey } from "../../image/content_name.ts";
import { createMemoryEncoder, type MemoryEncoder } from "../memory_encoder.ts";
import { NamesMissing } from "../named_items.ts";
import { MemoryOfferWriter } from "../memory_offer.ts";
import { PageSpace } from "../page_space.ts";
import type { Technique } from "../techniques.ts";
import { WarmIntake } from "../warm_intake.ts";
import { Contents, Names } from "./known_contents.ts";
import { type GuestModel, LAYOUT, MemoryModel, PAGE } from "./memory_model.ts";

/** Room for the layouts of all tests. */
const MODEL_PAGES = 6144;

/** Where contents go at one end: with a spill everything is kept, without one what fits. */
export type Keeping = "spill" | "bounded";

export function openImage(keeping: Keeping) {
  return () => new PageImage(PAGE, 0, keeping === "spill" ? memorySpill(PAGE) : null);
}

/** What both ends have from the moves before. */
export interface Left {
  readonly source: KnownMemory | null;
  readonly destination: KnownMemory | null;
}
export const NOTHING: Left = { source: null, destination: null };

interface Settings {
  readonly source?: Keeping;
  readonly destination?: Keeping;
  readonly disable?: readonly Technique[];
  /** What the destination's site has from elsewhere. */
  readonly contents?: Contents;
}

/** One move of a machine's memory: to a fresh machine, with what is left from the moves before. */
export class Attempt {
  readonly encoder: MemoryEncoder;
  readonly decoder: MemoryDecoder;
  readonly model = new MemoryModel(MODEL_PAGES);
  readonly sent: Uint8Array[] = [];
  readonly names: Names | null;
  readonly #contents: Contents | undefined;

  constructor(
    left: Left,
    { source = "spill", destination = "spill", disable = [], contents }: Settings = {},
  ) {
    const reach = openImage(destination)().reachPages;
    const warm = left.destination && heardOffer(left.destination, left.source, source);
    this.#contents = contents;
    const names = this.names = contents ? new Names(contents) : null;
    this.encoder = createMemoryEncoder({
      memory: { openImage: openImage(source), reachPages: () => reach, names: () => names },
      warm,
      disable,
    });
    this.decoder = createMemoryDecoder(
      openImage(destination),
      left.destination,
      contents,
    );
  }

  send(items: MemoryItem[]): void {
    for (const payload of [...this.encoder.add(items), ...this.encoder.flush()]) {
      this.sent.push(payload);
      this.model.apply(this.#decode(payload));
    }
  }

  /** What is missing is asked for, as over a link. */
  #decode(payload: Uint8Array): MemoryItem[] {
    for (;;) {
      try {
        return this.decoder.decode(payload);
      } catch (thrown) {
        if (!(thrown instanceof NamesMissing)) throw thrown;
        for (const name of thrown.names) this.#contents!.add(this.names!.kept.get(nameKey(name))!);
      }
    }
  }

  get saved(): Record<Technique, number> {
    return this.encoder.totals.saved;
  }

  get sentBytes(): number {
    return this.sent.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Both sides put what they know away. */
  end(): Left {
    const left = { source: this.encoder.release(), destination: this.decoder.release() };
    for (const known of [left.source, left.destination]) while (known?.image.settle()) continue;
    return left;
  }
}

/** The whole offer of what the destination has, as the source hears it. */
function heardOffer(kept: KnownMemory, own: KnownMemory | null, source: Keeping) {
  kept.image.pinHeld();
  const writer = new MemoryOfferWriter(kept.image, new PageSpace(kept.layout).pageCount);
  const intake = new WarmIntake(kept.layout, own, openImage(source));
  while (!writer.isComplete) {
    assert.equal(intake.isComplete, false);
    intake.take({ type: FRAME_TYPES.memoryOffer, payload: writer.next() });
  }
  assert.equal(intake.isComplete, true);
  return intake.release();
}

/** Everything, then some passes over what the machine writes meanwhile. */
export function run(attempt: Attempt, guest: GuestModel, passes: number): void {
  guest.touchAll();
  attempt.send([LAYOUT]);
  for (let pass = 0; pass < passes; pass++) {
    attempt.send(guest.dirtyItems());
    attempt.model.assertEquals(guest);
    guest.work(200);
  }
}
