import { UNIT_BYTES } from "../../image/content_name.ts";
import type { SiteStoreOptions } from "../options.ts";
import { SiteStore } from "../site_store.ts";

/** A store whose work of later is done when `work` says so. */
export class TestStore {
  readonly store: SiteStore;
  readonly complaints: string[] = [];
  #due: (() => void)[] = [];

  constructor(directory: string, slots: number, options: Partial<SiteStoreOptions> = {}) {
    this.store = new SiteStore({
      directory,
      bytesMax: slots * UNIT_BYTES,
      keepsMemory: true,
      later: (work) => void this.#due.push(work),
      log: (_level, message) => void this.complaints.push(message),
      ...options,
    });
  }

  /** Does what was left for later, once. */
  work(): void {
    for (const work of this.#due.splice(0)) work();
  }
}

/** A unit like no other seed's. */
export function unit(seed: number): Uint8Array {
  const content = new Uint8Array(UNIT_BYTES);
  let state = seed + 1;
  for (let at = 0; at < UNIT_BYTES; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    content[at] = state >>> 16;
  }
  return content;
}

/** Runs a test with a directory of its own. */
export async function inDirectory(
  test: (directory: string) => void | Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-store-" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
