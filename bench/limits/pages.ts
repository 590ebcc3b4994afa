import { MEMORY_SPACE, PageContent } from "../../src/guest/reference/content.ts";
import { PAGE_BYTES, PAGE_WORDS } from "../../src/guest/reference/units.ts";

/** The pages of a reference machine as `gateway_cost.ts` moves it, without its zero pages. */
export function machinePages(lengthBytes: number): Uint8Array<ArrayBuffer> {
  const content = new PageContent({ seed: 1, textRatio: 0.5, randomRatio: 0.5 });
  const words = new Uint32Array(lengthBytes / 4);
  for (let page = 0; page < lengthBytes / PAGE_BYTES; page++) {
    content.write(MEMORY_SPACE, page, 0, words, page * PAGE_WORDS);
  }
  return new Uint8Array(words.buffer);
}
