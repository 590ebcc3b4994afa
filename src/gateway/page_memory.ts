import { type PageLimits, PageMemory } from "../image/page_memory.ts";
import { openSpillFile } from "../image/spill_file.ts";

/**
 * The page image of one migration, with its files below `directory`. They have no name once they are
 * open, so a name that is free is all they need.
 */
export function pageMemory(
  limits: PageLimits,
  directory: string,
  newId: () => string,
): PageMemory {
  return new PageMemory(limits, (pageBytes) => {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    return openSpillFile(`${directory}/${newId()}.pages`, pageBytes);
  });
}
