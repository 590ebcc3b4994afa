/** What wrong tokens are allowed before an address is locked. */
export interface AttemptLimits {
  /** Wrong tokens of one address in a row. */
  readonly perAddress: number;
  /** After this one of them is forgiven. */
  readonly forgiveMs: number;
  /** First lock of an address; each further one is twice as long. */
  readonly lockMs: number;
  readonly lockMsMax: number;
  /** A lock that ended longer ago than this is forgotten. */
  readonly rememberMs: number;
  /** Wrong tokens of all addresses together in a row, and how many are forgiven a second. */
  readonly everywhere: number;
  readonly everywherePerSecond: number;
  /** Addresses that are remembered; the one that was heard of longest ago goes first. */
  readonly addressesMax: number;
  /** Tokens that are remembered as used rightly, for one address. */
  readonly tokensPerAddress: number;
}

export const ATTEMPT_LIMITS: AttemptLimits = {
  perAddress: 20,
  forgiveMs: 3_000,
  lockMs: 60_000,
  lockMsMax: 15 * 60_000,
  rememberMs: 15 * 60_000,
  everywhere: 200,
  everywherePerSecond: 5,
  addressesMax: 4_096,
  tokensPerAddress: 16,
};

interface Address {
  wrong: Bucket;
  lockedUntilMs: number;
  /** Locks that were not forgotten yet. */
  locks: number;
  /** Tokens that were right here, the newest last. */
  readonly known: Set<string>;
}

/**
 * How often wrong tokens may be tried. An address that tries too many is locked: nothing is compared
 * for it, but tokens that it has used rightly before go on. So a scraper with an old token, or
 * somebody behind the same proxy, cannot lock out an operator who works already; and a guess that
 * happens to be right is worth nothing while the lock lasts.
 *
 * All addresses together have a limit, too. It never keeps a right token out; beyond it, wrong ones
 * are only told to come later.
 */
export class Attempts {
  readonly #addresses = new Map<string, Address>();
  readonly #everywhere: Bucket;

  constructor(private readonly limits: AttemptLimits = ATTEMPT_LIMITS) {
    this.#everywhere = new Bucket(limits.everywhere, 1000 / limits.everywherePerSecond);
  }

  /** Addresses that are remembered. */
  get addressCount(): number {
    return this.#addresses.size;
  }

  /** How long the address is locked still; 0 when it is not. */
  lockedForMs(address: string, nowMs: number): number {
    const known = this.#addresses.get(address);
    return known === undefined ? 0 : Math.max(0, known.lockedUntilMs - nowMs);
  }

  /** True for a token that was right from this address before. */
  isKnown(address: string, tokenId: string): boolean {
    return this.#addresses.get(address)?.known.has(tokenId) ?? false;
  }

  right(address: string, tokenId: string): void {
    const { known } = this.#touched(address);
    known.delete(tokenId);
    known.add(tokenId);
    if (known.size > this.limits.tokensPerAddress) known.delete(known.keys().next().value!);
  }

  /**
   * A wrong token from an address that is not locked.
   *
   * @returns `waitMs`: 0 where it may be told that the token is wrong; `locked` when this one was one
   *   too many
   */
  wrong(address: string, nowMs: number): { readonly waitMs: number; readonly locked: boolean } {
    const { lockMs, lockMsMax, rememberMs } = this.limits;
    const entry = this.#touched(address);
    const everywhereMs = this.#everywhere.take(nowMs);
    if (entry.wrong.take(nowMs) === 0) return { waitMs: everywhereMs, locked: false };
    if (nowMs - entry.lockedUntilMs > rememberMs) entry.locks = 0;
    const forMs = Math.min(lockMsMax, lockMs * 2 ** entry.locks);
    entry.locks++;
    entry.lockedUntilMs = nowMs + forMs;
    entry.wrong = this.#bucket();
    return { waitMs: forMs, locked: true };
  }

  #touched(address: string): Address {
    const { addressesMax } = this.limits;
    const entry = this.#addresses.get(address) ??
      { wrong: this.#bucket(), lockedUntilMs: -Infinity, locks: 0, known: new Set() };
    this.#addresses.delete(address);
    this.#addresses.set(address, entry);
    if (this.#addresses.size > addressesMax) {
      this.#addresses.delete(this.#addresses.keys().next().value!);
    }
    return entry;
  }

  #bucket(): Bucket {
    return new Bucket(this.limits.perAddress, this.limits.forgiveMs);
  }
}

/** Holds `size` tokens and gets one back in `refillMs`. */
class Bucket {
  #level: number;
  #atMs = -Infinity;

  constructor(private readonly size: number, private readonly refillMs: number) {
    this.#level = size;
  }

  /** Takes one. @returns 0, or the time until there is one */
  take(nowMs: number): number {
    const refilled = (nowMs - this.#atMs) / this.refillMs;
    this.#level = Math.min(this.size, this.#level + refilled);
    this.#atMs = nowMs;
    if (this.#level < 1) return Math.ceil((1 - this.#level) * this.refillMs);
    this.#level--;
    return 0;
  }
}

/**
 * The part of a network address that one client is taken to have: IPv4 as it is, of IPv6 the /64,
 * within which a client can choose freely (RFC 4291, section 2.5.4).
 */
export function clientOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1];
  if (!address.includes(":")) return address;
  const [head, tail] = address.split("%")[0].split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array(missing).fill("0"), ...after];
  return all.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(":") + "::/64";
}
