import { RateLimit } from "./rate_limit.ts";

/**
 * Records are spread at so much more than the caps allow, so that it is the caps that decide how
 * much goes in the long run.
 */
const PACE_GAIN = 1.25;

/** The caps of one link: over everything that goes to the peer, and of single migrations. */
export class RateCaps {
  readonly #link: RateLimit;
  readonly #migrations = new Map<string, RateLimit>();

  constructor(nowMs: number) {
    this.#link = new RateLimit(null, nowMs);
  }

  /** @throws {RangeError} for a rate that is neither positive nor null */
  setLink(bytesPerSecond: number | null, nowMs: number): void {
    this.#link.set(bytesPerSecond, nowMs);
  }

  /** @throws {RangeError} for a rate that is neither positive nor null */
  setMigration(migrationId: string, bytesPerSecond: number | null, nowMs: number): void {
    const limit = this.#migrations.get(migrationId);
    if (bytesPerSecond === null) this.#migrations.delete(migrationId);
    else if (limit === undefined) {
      this.#migrations.set(migrationId, new RateLimit(bytesPerSecond, nowMs));
    } else limit.set(bytesPerSecond, nowMs);
  }

  forget(migrationId: string): void {
    this.#migrations.delete(migrationId);
  }

  /** When the next record may start, of a migration or of nobody; not after `nowMs` means now. */
  readyAtMs(migrationId: string | null, nowMs: number): number {
    const limit = migrationId === null ? undefined : this.#migrations.get(migrationId);
    return Math.max(this.#link.readyAtMs(nowMs), limit?.readyAtMs(nowMs) ?? nowMs);
  }

  /** A record went that costs this on the wire, whether it was allowed or too urgent to ask. */
  spend(migrationId: string | null, packetBytes: number, nowMs: number): void {
    this.#link.spend(packetBytes, nowMs);
    if (migrationId !== null) this.#migrations.get(migrationId)?.spend(packetBytes, nowMs);
  }

  /**
   * At what rate records should be spread, so that a capped migration sends evenly and not a record
   * at a time at the path's speed: other traffic would meet its queue. Null where one that sends has
   * no cap, because then the path is full anyway, and a record in slow motion would be in its way.
   *
   * @param sending migrations that have something to send
   */
  paceBytesPerSecond(sending: Iterable<string>): number | null {
    let bytesPerSecond = this.#link.bytesPerSecond ?? Infinity;
    if (this.#migrations.size > 0) {
      let sum = 0;
      for (const id of sending) sum += this.#migrations.get(id)?.bytesPerSecond ?? Infinity;
      if (sum > 0) bytesPerSecond = Math.min(bytesPerSecond, sum);
    }
    return bytesPerSecond === Infinity ? null : PACE_GAIN * bytesPerSecond;
  }
}
