import type { IndexedMemory, KnownMemory } from "./known_memory.ts";
import { type Layout, layoutFault } from "./memory_layout.ts";
import { MemoryOfferReader, type OfferSink } from "./memory_offer.ts";
import { isSameLayout, PageSpace } from "./page_space.ts";
import { GatewayError } from "../core/errors.ts";
import { DigestIndex } from "../image/digest_index.ts";
import { type PageImage, UNKNOWN, ZERO } from "../image/page_image.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";

/** Memory beside the machine's own: firmware, video memory and the like. */
const OTHER_BLOCKS_BYTES_MAX = 1024 ** 3;

/**
 * Hears what the destination has of the machine's memory, and makes an image of it: what this site
 * has kept itself where both have the same, the digest alone where it has not.
 */
export class WarmIntake {
  readonly #image: PageImage;
  readonly #index: DigestIndex;
  readonly #reader: MemoryOfferReader;
  #isReleased = false;

  /**
   * @param own what this site has kept, of any layout; taken over
   * @param openImage where that is of no use
   */
  constructor(
    private readonly layout: Layout,
    own: KnownMemory | null,
    openImage: (pageBytes: number) => PageImage,
  ) {
    const isUsable = own !== null && isSameLayout(own.layout, layout);
    if (!isUsable) own?.image.close();
    this.#image = isUsable ? own.image : openImage(layout.pageBytes);
    this.#index = new DigestIndex(this.#image);
    const sink = mergeInto(this.#image, this.#index);
    this.#reader = new MemoryOfferReader(new PageSpace(layout).pageCount, sink);
  }

  get isComplete(): boolean {
    return this.#reader.isComplete;
  }

  /** @throws {GatewayError} `frame_invalid`, `batch_invalid` */
  take({ type, payload }: { readonly type: number; readonly payload: Uint8Array }): void {
    if (type !== FRAME_TYPES.memoryOffer) {
      throw new GatewayError("frame_invalid", `Cannot take a frame of type ${type} as an offer`, {
        hint: "Check that both gateways run the same version",
      });
    }
    // The move may be over while frames still arrive.
    if (!this.#isReleased) this.#reader.read(payload);
  }

  /** Gives out what is known, once: the caller's from now on. */
  release(): IndexedMemory | null {
    if (this.#isReleased) return null;
    this.#isReleased = true;
    return { layout: this.layout, image: this.#image, index: this.#index };
  }
}

/** The layout of an offer, or null where it cannot be that of a machine with so much memory. */
export function plausibleLayout(
  offered: Omit<Layout, "kind"> | null,
  memoryBytes: number,
): Layout | null {
  if (offered === null) return null;
  const layout: Layout = { kind: "layout", ...offered };
  const bytes = layout.blocks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  if (layoutFault(layout) !== null || bytes > memoryBytes + OTHER_BLOCKS_BYTES_MAX) return null;
  return new PageSpace(layout).canBeFollowed ? layout : null;
}

function mergeInto(image: PageImage, index: DigestIndex): OfferSink {
  return {
    unknown(firstPage, pageCount) {
      for (let page = firstPage; page < firstPage + pageCount; page++) image.forget(page);
    },
    zeros(firstPage, pageCount) {
      for (let page = firstPage; page < firstPage + pageCount; page++) {
        image.setZero(page);
        image.markWaiting(page);
      }
    },
    kept(page, digest) {
      const state = image.stateOf(page);
      if (state !== UNKNOWN && state !== ZERO) image.ensureDigest(page);
      const isMine = image.hasDigest(page) && image.hasThisDigest(page, digest);
      if (!isMine) image.setDigestOnly(page, digest);
      image.markWaiting(page);
      index.add(page);
    },
  };
}
