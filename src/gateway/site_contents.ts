import { UNIT_BYTES } from "../image/content_name.ts";
import { SentHints } from "../migration/source/sent_hints.ts";
import type { MoveStore } from "../migration/store.ts";
import { SiteStore } from "../store/site_store.ts";
import { DISK, MEMORY } from "../store/slot_record.ts";

/** What a site keeps for later moves, as its configuration says. */
export interface StoreSettings {
  /** 0: nothing is kept, and nothing is offered. */
  readonly bytesMax: number;
  readonly sharedImages: readonly string[];
}

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** The contents that moves of this site can share: its store, and what its peers are known to have. */
export class SiteContents {
  /** Resolves when every shared image is named, or was complained of. */
  sharing: Promise<void> = Promise.resolve();
  #store: SiteStore | null = null;
  readonly #sent = new Map<string, SentHints>();

  /** @param keepsMemory false: no content of a machine's memory is kept */
  constructor(
    private readonly settings: StoreSettings,
    private readonly directory: string,
    private readonly keepsMemory: boolean,
    private readonly log: Log,
  ) {}

  /**
   * Opens the store and begins to name the shared images. A store that cannot be opened costs bytes
   * of moves, so the gateway goes on without it and says so.
   */
  open(): void {
    const { settings, directory, keepsMemory, log } = this;
    if (settings.bytesMax === 0) return;
    try {
      const later = (work: () => void) => void setImmediate(work);
      const { bytesMax } = settings;
      this.#store = new SiteStore({ directory, bytesMax, keepsMemory, later, log });
      this.sharing = this.#share(this.#store);
    } catch (error) {
      log("warn", `Cannot open the site's content store: ${reasonOf(error)}`);
    }
  }

  /** What moves to a peer have had applied there. */
  sentTo(peer: string): SentHints {
    const known = this.#sent.get(peer) ?? new SentHints();
    this.#sent.set(peer, known);
    return known;
  }

  /**
   * The store for one move that arrives; null where there is none.
   *
   * @param peer fingerprint of the source's certificate, to whom its contents belong; null for a
   *   site that is not trusted any more
   */
  ofMove(id: string, peer: string | null): MoveStore | null {
    const store = this.#store;
    if (store === null || peer === null) return null;
    return {
      bytesMax: store.bytesMax,
      keepsMemory: this.keepsMemory,
      offer: () => store.offer(id, peer),
      get: (name, into) => store.get(peer, name, into),
      put: (origin, content) => store.put(peer, origin === "memory" ? MEMORY : DISK, content),
      release: () => store.release(id),
    };
  }

  /** Bytes of contents that a peer has sent and may name. @param peer fingerprint; null: nobody */
  bytesFrom(peer: string | null): number {
    return peer === null ? 0 : (this.#store?.unitCountOf(peer) ?? 0) * UNIT_BYTES;
  }

  close(): void {
    this.#store?.close();
    this.#store = null;
  }

  async #share(store: SiteStore): Promise<void> {
    for (const path of this.settings.sharedImages) {
      try {
        await store.shared.add(path);
      } catch (error) {
        this.log("warn", `Cannot share the image ${path}: ${reasonOf(error)}`);
      }
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
