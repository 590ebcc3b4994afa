import type { KnownMemory } from "../codec/known_memory.ts";
import { PageSpace } from "../codec/page_space.ts";
import type { Clock } from "../core/clock.ts";
import { toGatewayError } from "../core/errors.ts";
import { UNKNOWN } from "../image/page_image.ts";

/** Bounds of what stays after moves. */
export interface KeptLimits {
  /** Images of all guests and peers; 0 keeps none. The oldest goes first. */
  readonly keptImagesMax: number;
  /** Their contents, in spills and in memory. */
  readonly keptBytesMax: number;
  /** How long one stays after a move that did not come to its end. */
  readonly keptAttemptMs: number;
  /** And after one that did: the machine may come home. */
  readonly keptDepartureMs: number;
}

const HOUR_MS = 3_600_000;
const GIB = 1024 ** 3;

export const DEFAULT_KEPT_LIMITS: KeptLimits = {
  keptImagesMax: 8,
  keptBytesMax: 32 * GIB,
  keptAttemptMs: HOUR_MS,
  keptDepartureMs: 24 * HOUR_MS,
};

/** What a move left: both sides' images are of what the destination holds, or held at the end. */
export type KeptAfter = "attempt" | "departure";

/** The store as one move sees it: of its guest and its peer. */
export interface KeptMemory {
  /** Takes out what is kept, which is the caller's from now on. */
  take(): KnownMemory | null;
  /** Keeps an image instead of what was kept before; it is the store's from now on. */
  keep(memory: KnownMemory, after: KeptAfter): void;
  /** An image of a move found its storage full: all that is kept here is given up for the next try. */
  noRoom(): void;
}

interface Entry {
  readonly memory: KnownMemory;
  readonly over: AbortController;
  /** Contents, once they are out of memory. */
  storedBytes: number;
}

/**
 * Page images that outlive their move, one for each guest and peer, for the next move of that guest
 * between the same two sites, in either direction. An image is offered to no other peer: this one has
 * seen its contents. All of it is in this process and ends with it.
 */
export class KeptImages {
  /** The oldest first. */
  readonly #entries = new Map<string, Entry>();
  #isClosed = false;

  constructor(
    private readonly limits: KeptLimits,
    private readonly clock: Clock,
    private readonly log: (level: "info" | "warn" | "error", message: string) => void,
  ) {}

  of(guestId: string, peer: string): KeptMemory {
    const key = keyOf(guestId, peer);
    return {
      take: () => this.#take(key),
      keep: (memory, after) => this.#keep(key, memory, after),
      noRoom: () => this.#dropAll(),
    };
  }

  /** Bytes of memory that are known of a guest for a peer; it stays as it is. */
  knownBytes(guestId: string, peer: string): number {
    const memory = this.#entries.get(keyOf(guestId, peer))?.memory;
    if (memory === undefined) return 0;
    const { pageBytes, pageCount } = new PageSpace(memory.layout);
    let known = 0;
    for (let page = 0; page < pageCount; page++) {
      if (memory.image.stateOf(page) !== UNKNOWN) known++;
    }
    return known * pageBytes;
  }

  /** Forgets what is kept of a guest for a peer. */
  drop(guestId: string, peer: string): void {
    this.#take(keyOf(guestId, peer))?.image.close();
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Forgets everything, now and what still comes. */
  close(): void {
    this.#isClosed = true;
    this.#dropAll();
  }

  #dropAll(): void {
    for (const key of [...this.#entries.keys()]) this.#take(key)?.image.close();
  }

  #take(key: string): KnownMemory | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    entry.over.abort();
    return entry.memory;
  }

  #keep(key: string, memory: KnownMemory, after: KeptAfter): void {
    this.#take(key)?.image.close();
    if (this.#isClosed) return memory.image.close();
    const entry: Entry = { memory, over: new AbortController(), storedBytes: 0 };
    this.#entries.set(key, entry);
    this.#makeRoom();
    if (this.#entries.get(key) !== entry) return;
    const { keptAttemptMs, keptDepartureMs } = this.limits;
    const lastsMs = after === "attempt" ? keptAttemptMs : keptDepartureMs;
    void this.clock.sleep(lastsMs, entry.over.signal).then(() => this.#dropEntry(key, entry))
      .catch(() => {});
    void this.#settle(key, entry);
  }

  /** Moves the contents out of memory, a little at a time: other moves go on meanwhile. */
  async #settle(key: string, entry: Entry): Promise<void> {
    const { signal } = entry.over;
    try {
      do await this.clock.sleep(0, signal); while (!signal.aborted && entry.memory.image.settle());
      if (signal.aborted) return;
      entry.storedBytes = entry.memory.image.storedBytes;
      // One that is too large by itself must not drive out all others first.
      if (entry.storedBytes > this.limits.keptBytesMax) this.#dropEntry(key, entry);
      this.#makeRoom();
    } catch (error) {
      if (signal.aborted) return;
      this.log("warn", `${key}: the page image is not kept: ${toGatewayError(error).message}`);
      this.#dropEntry(key, entry);
    }
  }

  #dropEntry(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#take(key)?.image.close();
  }

  #makeRoom(): void {
    const { keptImagesMax, keptBytesMax } = this.limits;
    const bytes = () =>
      [...this.#entries.values()].reduce((sum, each) => sum + each.storedBytes, 0);
    while (this.#entries.size > keptImagesMax || bytes() > keptBytesMax) {
      const [oldest] = this.#entries.keys();
      this.#take(oldest)?.image.close();
    }
  }
}

function keyOf(guestId: string, peer: string): string {
  return `${guestId} for ${peer}`;
}
