import { PageImage, reachOf } from "./page_image.ts";
import type { Spill } from "./spill.ts";

/** Bounds of one migration's page image and pool at this site. */
export interface PageLimits {
  /** Contents of the image in memory. */
  readonly pageImageBytesMax: number;
  /** Pages that wait for the link. */
  readonly pagePoolBytesMax: number;
  /** `never`: contents beyond the bound are dropped instead of kept in an encrypted file. */
  readonly memoryAtRest: "encrypted" | "never";
}

export const DEFAULT_PAGE_LIMITS: PageLimits = {
  pageImageBytesMax: 64 * 1024 * 1024,
  pagePoolBytesMax: 256 * 1024 * 1024,
  memoryAtRest: "encrypted",
};

/** What an end tells the other about its image, for the reach of references. */
export interface ImageOffer {
  readonly bytesMax: number;
  readonly spills: boolean;
}

/** Makes the page image of one migration at this site. */
export class PageMemory {
  /** @param openSpill opens a new spill; called once for each layout of the machine's memory */
  constructor(
    readonly limits: PageLimits,
    private readonly openSpill: (pageBytes: number) => Spill,
  ) {}

  get offer(): ImageOffer {
    const { pageImageBytesMax, memoryAtRest } = this.limits;
    return { bytesMax: pageImageBytesMax, spills: memoryAtRest !== "never" };
  }

  openImage(pageBytes: number): PageImage {
    const { pageImageBytesMax, memoryAtRest } = this.limits;
    const spill = memoryAtRest === "never" ? null : this.openSpill(pageBytes);
    return new PageImage(pageBytes, pageImageBytesMax, spill);
  }
}

/** Pages written last of which an end with this offer has the content; 0 without one. */
export function reachOfOffer(offer: ImageOffer | null, pageBytes: number): number {
  return offer === null ? 0 : reachOf(pageBytes, offer.bytesMax, offer.spills);
}
