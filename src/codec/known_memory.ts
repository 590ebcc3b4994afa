import type { DigestIndex } from "../image/digest_index.ts";
import type { PageImage } from "../image/page_image.ts";
import type { Layout } from "./memory_layout.ts";

/** What an end knows of a machine's memory, and the layout that gives its page numbers a meaning. */
export interface KnownMemory {
  readonly layout: Layout;
  readonly image: PageImage;
}

/** The same at a source, where pages are also found by their digest. */
export interface IndexedMemory extends KnownMemory {
  readonly index: DigestIndex;
}
