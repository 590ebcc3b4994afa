import { entryAt } from "../migration/control/rate/schedule.ts";
import type { Clock } from "../core/clock.ts";
import type { PeerLink } from "../link/peer_link.ts";
import type { LinkRate } from "../migration/control/wishes.ts";

/** How often a schedule is looked at: the wall clock may be set, so the next change is not slept for. */
const LOOK_MS = 1_000;

/** Keeps the cap over all that goes to one peer as it is wished, by the clock where that is a schedule. */
export class LinkCap {
  #wished: LinkRate = null;
  #bytesPerSecond: number | null = null;
  #following: AbortController | null = null;

  constructor(
    private readonly link: Pick<PeerLink, "setRateLimit">,
    private readonly clock: Clock,
  ) {}

  get wished(): LinkRate {
    return this.#wished;
  }

  /** In force now; null is none. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  set(wished: LinkRate): void {
    this.close();
    this.#wished = wished;
    this.#apply();
    if (isSchedule(wished)) void this.#follow();
  }

  /** The cap stays as it is now. */
  close(): void {
    this.#following?.abort();
    this.#following = null;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#following = new AbortController();
    while (!signal.aborted) {
      await this.clock.sleep(LOOK_MS, signal).catch(() => {});
      if (!signal.aborted) this.#apply();
    }
  }

  #apply(): void {
    const cap = capAt(this.#wished, this.clock.wallMs());
    if (cap === this.#bytesPerSecond) return;
    this.#bytesPerSecond = cap;
    this.link.setRateLimit(cap);
  }
}

function capAt(wished: LinkRate, wallMs: number): number | null {
  if (wished === null || typeof wished === "number") return wished;
  if (wished.policy === "fixed") return wished.bytesPerSecond;
  return entryAt(wished.entries, wallMs)?.bytesPerSecond ?? null;
}

function isSchedule(wished: LinkRate): boolean {
  return wished !== null && typeof wished === "object" && wished.policy === "schedule";
}
