import assert from "node:assert/strict";
import { ByteSink } from "../../../codec/bytes.ts";
import { BODY_BYTES_MAX } from "../../../codec/envelope.ts";
import { CHANGED_BYTES_MAX, KEPT_BYTES_MAX } from "../../../codec/item_kinds.ts";
import type { KnownMemory } from "../../../codec/known_memory.ts";
import { createMemoryDecoder, type MemoryDecoder } from "../../../codec/memory_decoder.ts";
import { createMemoryEncoder } from "../../../codec/memory_encoder.ts";
import { type Layout, pagesOfBlock, putLayout } from "../../../codec/memory_layout.ts";
import { MemoryOfferWriter } from "../../../codec/memory_offer.ts";
import { NamesMissing } from "../../../codec/named_items.ts";
import { PageSpace } from "../../../codec/page_space.ts";
import { WarmIntake } from "../../../codec/warm_intake.ts";
import { Contents, Names } from "../../../codec/testing/known_contents.ts";
import { GuestModel, LAYOUT, PAGE } from "../../../codec/testing/memory_model.ts";
import { GatewayError } from "../../../core/errors.ts";
import { PageImage } from "../../../image/page_image.ts";
import type { Spill } from "../../../image/spill.ts";
import { memorySpill } from "../../../image/testing/memory_spill.ts";
import { FRAME_TYPES } from "../../../wire/frame_types.ts";
import { leb128 } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { joinParts, mutateParts, splitParts } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";
import { mutateSealed, sealed } from "./envelope.ts";
import { checkItems } from "./memory_items.ts";

/** First part of an input: what the destination has. */
const SPILLS = 1;
const IS_WARM = 2;
const IS_NAMED = 4;
const HAS_IMAGE = 8;

const BATCHES_MAX = 24;
const GUESTS = 6;
const WORDS = [...[1, 2, 3, 4, 5, 6, 7, 8].map((kind) => [kind, 0, 1]), [0, 0], [0x80, 0x80, 4]]
  .map((bytes) => Uint8Array.from(bytes));

/** Batches of memory in the order of one channel, with all that their decoder remembers. */
export function memoryBatches(): FuzzTarget {
  const kept = keptMemory();
  return {
    name: "memory-batches",
    reads: "batches of memory with every kind of item, and the page image behind (src/codec)",
    codes: [],
    form: "bytes",
    bufferBytesMax: BATCHES_MAX * (3 * BODY_BYTES_MAX + CHANGED_BYTES_MAX + KEPT_BYTES_MAX),
    // Items of three bytes each become objects.
    heapBytesMax: 512 * 1024 * 1024,
    testExecutions: 1_200,
    generate: (dice) => dice.chance(0.8) ? stream(dice) : scraps(dice),
    mutate: (input, dice, others) => {
      const batches = others.slice(-6).flatMap((other) => splitParts(other).slice(1));
      const [head = Uint8Array.of(15), ...parts] = splitParts(input, BATCHES_MAX);
      if (dice.chance(0.1)) return joinParts([Uint8Array.of(dice.below(16)), ...parts]);
      const changed = mutateParts(
        joinParts(parts),
        dice,
        (part) => mutateSealed(part, dice, batches, WORDS),
        () => batches.length > 0 && dice.chance(0.7) ? dice.pick(batches) : scrap(dice, LAYOUT),
      );
      return joinParts([head, ...splitParts(changed)]);
    },
    run(input) {
      const [head = Uint8Array.of(), ...payloads] = splitParts(input, BATCHES_MAX);
      return new Reception(head[0] ?? 0, kept).decode(payloads);
    },
  };
}

/** What the encoder makes of a machine that writes. */
function stream(dice: Dice): Uint8Array {
  const features = dice.pick([15, 15, 8, 12, 9, 0]);
  const guest = new GuestModel(dice.below(GUESTS));
  const contents = new Contents();
  if ((features & IS_NAMED) !== 0) { for (const page of [1, 5, 9]) contents.add(guest.page(page)); }
  const names = new Names(contents);
  const image = () => new PageImage(PAGE, 0, memorySpill(PAGE));
  const hasImage = (features & HAS_IMAGE) !== 0;
  const encoder = createMemoryEncoder({
    memory: hasImage ? { openImage: image, reachPages: () => Infinity, names: () => names } : null,
    warm: (features & IS_WARM) !== 0 && hasImage ? heard(keptMemory()()) : null,
  });
  const parts = [Uint8Array.of(features), ...encoder.add([LAYOUT])];
  for (let pass = dice.between(1, 3); pass > 0; pass--) {
    parts.push(...encoder.add(guest.dirtyItems()), ...encoder.flush());
    guest.work(dice.between(1, 60));
  }
  if (dice.chance(0.5)) {
    parts.push(...encoder.add([{ kind: "opaque", bytes: dice.bytes(20), reason: "x" }]));
    parts.push(...encoder.flush());
  }
  return joinParts(parts);
}

/** Layouts and items that no encoder makes: large ones above all. */
function scraps(dice: Dice): Uint8Array {
  const layout = anyLayout(dice);
  const first = new ByteSink();
  first.u8(1);
  putLayout(first, layout);
  const parts = Array.from({ length: dice.between(1, 4) }, () => scrap(dice, layout));
  if (dice.chance(0.9)) parts.unshift(sealed({ contents: NOTHING, description: first.view() }));
  return joinParts([Uint8Array.of(dice.pick([8, 9, 15, dice.below(16)])), ...parts]);
}

/** Items that fit the layout mostly, with a number now and then that does not. */
function scrap(dice: Dice, layout: Layout): Uint8Array {
  const description = new ByteSink();
  const contents = new ByteSink();
  const oddRatio = dice.pick([0, 0, 0.003, 0.1]);
  const number = (usual: number) => dice.chance(oddRatio) ? dice.number() % 2 ** 51 : usual;
  // Changes need a sum, kept pages an offer, names a store: with them most batches are refused.
  const kinds = dice.chance(0.5) ? [2, 3, 3, 4] : [1, 2, 3, 4, 5, 6, 7, 8];
  for (let items = dice.between(1, 5); items > 0; items--) {
    const kind = dice.pick(kinds);
    description.u8(kind);
    if (kind === 1) putLayout(description, dice.chance(0.7) ? layout : anyLayout(dice));
    else if (kind === 4) {
      description.varint(number(0));
      description.text("device");
    } else if (kind === 6) description.raw(dice.bytes(16));
    else {
      const block = dice.below(layout.blocks.length);
      const pages = pagesOfBlock(layout, block);
      description.varint(number(block));
      const isRanges = kind === 3 || kind === 7;
      const count = dice.size(isRanges ? 2_000 : 40) + 1;
      description.varint(number(count));
      let at = 0;
      for (let i = 0; i < count; i++) {
        const index = dice.chance(0.7) ? Math.min(at, pages - 1) : dice.size(pages);
        const length = isRanges ? dice.pick([1, pages - index, dice.size(pages - index)]) : 1;
        if (kind === 5) {
          const what = dice.below(4);
          const distance = index - at;
          description.varint(4 * (distance < 0 ? -2 * distance - 1 : 2 * distance) + what);
          if (what === 1) description.raw(Uint8Array.of(1, dice.below(9), 1));
          if (what === 2) description.signed(dice.below(3));
          if (what < 2) contents.raw(dice.bytes(what === 0 ? layout.pageBytes : 4));
        } else description.signed(number(index - at));
        if (isRanges) description.varint(number(Math.max(1, length)));
        if (kind === 2) contents.raw(dice.bytes(layout.pageBytes));
        if (kind === 8) contents.raw(dice.bytes(32));
        at = index + length;
        if (contents.lengthBytes > BODY_BYTES_MAX / 4) break;
      }
    }
  }
  if (dice.chance(0.05)) {
    for (let times = dice.between(1, 20_000); times > 0; times--) {
      description.u8(1);
      putLayout(description, { ...LAYOUT, section: times % 2 });
    }
  }
  // One range of zeros said again and again: nothing on the wire, and work for each of its pages.
  if (dice.chance(0.1)) {
    const pages = Math.max(1, pagesOfBlock(layout, 0));
    const range = [3, 0, 1, 0, ...leb128(pages)];
    const times = dice.between(1, 20_000);
    for (let i = 0; i < times; i++) description.raw(Uint8Array.from(range));
  }
  if (contents.lengthBytes + description.lengthBytes > BODY_BYTES_MAX) return dice.bytes(20);
  const level = dice.pick([null, 1]);
  return sealed({ contents: contents.view().slice(), description: description.view() }, level);
}

const NOTHING = new Uint8Array(0);

function anyLayout(dice: Dice): Layout {
  if (dice.chance(0.4)) return LAYOUT;
  const pageBytes = dice.pick([512, 4096, 65_536]);
  // Large ones take long, and are large however large they are.
  const sizes = dice.chance(0.1) ? [2 ** 22, 2 ** 26, 2 ** 28, 2 ** 32] : [1, 100, 65_536];
  const blocks = Array.from({ length: dice.between(1, 3) }, (_, i) => ({
    name: `b${i}`,
    lengthBytes: pageBytes * dice.pick(sizes),
  }));
  return { kind: "layout", pageBytes, section: dice.below(3), blocks };
}

/** Makes the same memory of an earlier move, again and again. */
function keptMemory(): () => KnownMemory {
  const guest = new GuestModel(1);
  return () => {
    const image = new PageImage(PAGE, 0, memorySpill(PAGE));
    for (let page = 0; page < 60; page++) {
      const content = guest.page(page);
      if (content.every((byte) => byte === 0)) image.setZero(page);
      else image.set(page, content);
    }
    return { layout: LAYOUT, image };
  };
}

/** The whole offer of what is kept, as the source hears it; its pages wait at the destination. */
function heard(kept: KnownMemory) {
  kept.image.pinHeld();
  const writer = new MemoryOfferWriter(kept.image, new PageSpace(kept.layout).pageCount);
  const intake = new WarmIntake(
    kept.layout,
    null,
    () => new PageImage(PAGE, 0, memorySpill(PAGE)),
  );
  while (!writer.isComplete) {
    intake.take({ type: FRAME_TYPES.memoryOffer, payload: writer.next() });
  }
  return intake.release();
}

/** The destination's end: a batch that it cannot take leaves everything as it was. */
class Reception {
  readonly #decoder: MemoryDecoder;
  readonly #contents: Contents | null;
  /** Of the memory that holds; a batch that is refused may have begun another one. */
  #image: PageImage | null = null;
  #opened: PageImage | null = null;
  #openSpills = 0;
  readonly #met = new Set<string>();

  constructor(features: number, kept: () => KnownMemory) {
    const warm = (features & IS_WARM) !== 0 && (features & HAS_IMAGE) !== 0 ? kept() : null;
    if (warm !== null) {
      this.#opened = warm.image;
      heard(warm);
    }
    this.#contents = (features & IS_NAMED) !== 0 ? new Contents() : null;
    const openImage = (pageBytes: number) => {
      const spill = (features & SPILLS) !== 0 ? this.#spill(pageBytes) : null;
      return this.#opened = new PageImage(pageBytes, 0, spill);
    };
    const hasImage = (features & HAS_IMAGE) !== 0;
    // Pages of another size cannot be named: the store refuses them.
    const named = this.#contents;
    this.#decoder = createMemoryDecoder(
      hasImage ? openImage : null,
      warm,
      named && {
        resolve: (name, into) => into.length === PAGE && named.resolve(name, into),
        arrived: (content) => content.length === PAGE && named.arrived(content),
      },
    );
  }

  decode(payloads: readonly Uint8Array[]): string {
    for (const payload of payloads) {
      const { layout } = this.#decoder;
      const before = this.#state();
      try {
        const checked = checkItems(this.#decoder.decode(payload), layout);
        assert.deepEqual(this.#decoder.layout, checked.layout);
        if (this.#decoder.layout !== layout) this.#image = this.#opened;
        for (const kind of checked.kinds) this.#met.add(kind);
      } catch (thrown) {
        this.#refused(thrown);
        assert.equal(this.#decoder.layout, layout, "the layout is as it was");
        assert.equal(this.#state(), before, "the image is as it was");
      }
    }
    const known = this.#decoder.release();
    if (known !== null) this.#met.add("released");
    known?.image.close();
    this.#decoder.close();
    assert.equal(this.#openSpills, 0, "every image was closed");
    return [...this.#met].sort().join(" ");
  }

  #spill(pageBytes: number): Spill {
    this.#openSpills++;
    const spill = memorySpill(pageBytes);
    return {
      write: spill.write,
      read: spill.read,
      get storedBytes() {
        return spill.storedBytes;
      },
      close: () => {
        spill.close();
        this.#openSpills--;
      },
    };
  }

  #refused(thrown: unknown): void {
    if (thrown instanceof NamesMissing) {
      assert.ok(thrown.names.length > 0);
      this.#met.add("names missing");
    } else {
      if (!(thrown instanceof GatewayError)) throw thrown;
      assert.match(thrown.code, /^batch_/);
      this.#met.add(thrown.message.replace(/\d+/g, "#").slice(0, 60));
    }
  }

  /** What can be asked of the image without changing it, of the first pages. */
  #state(): string {
    const image = this.#image;
    const { layout } = this.#decoder;
    if (image === null || layout === null) return "";
    const pages = Math.min(400, new PageSpace(layout).pageCount);
    const states: number[] = [image.heldPages];
    for (let page = 0; page < pages; page++) {
      states.push(image.stateOf(page) * 2 + Number(image.isWaiting(page)));
    }
    return states.join(" ");
  }
}
