import { randomBytes } from "node:crypto";
import {
  hintOf,
  isSameName,
  isZeroUnit,
  nameBuffer,
  nameContent,
  UNIT_BYTES,
} from "../image/content_name.ts";
import { PEERS_MAX } from "./key_file.ts";
import { NameIndex } from "./name_index.ts";
import { noCounts, OFFER_UNITS_MAX_DEFAULT, type SiteStoreOptions } from "./options.ts";
import { Owners } from "./owners.ts";
import { Pins } from "./pins.ts";
import { SharedImages } from "./shared_images.ts";
import { Slab } from "./slab.ts";
import { SlotOrder } from "./slot_order.ts";
import { DISK, MEMORY, type Origin, type SlotRecord } from "./slot_record.ts";
import { WriteQueue } from "./write_queue.ts";

/** Contents that wait to be written, 4 MiB; what comes when so many wait is not kept. */
const QUEUE_UNITS_MAX = 1024;
/** Written at once: half a millisecond of the event loop. */
const UNITS_AT_ONCE = 64;
/** One batch more is written at once for each so many that wait. */
const QUEUE_UNITS_OF_BATCH = 256;
/** Records written at once, beside those of new contents. */
const RECORDS_AT_ONCE = 256;

/**
 * Contents of 4 KiB that peers have sent to this site, by their SHA-256; a cache that survives
 * restarts. A content is given to a peer that has sent it itself, and shared images to all; a name
 * that is known from another peer only is answered like one that nobody knows. Nothing is given that
 * was not named again and found equal to the whole name asked for.
 *
 * Never throws: a store that cannot be read or written is one that knows less.
 */
export class SiteStore {
  readonly counts = noCounts();
  readonly shared: SharedImages;
  readonly #slab: Slab;
  readonly #slotCount: number;
  readonly #index: NameIndex;
  readonly #order: SlotOrder;
  readonly #pins: Pins;
  readonly #numbers: Float64Array;
  readonly #owners: Owners;
  readonly #origins: Uint8Array;
  /** When each slot was used last, by a counter of uses. */
  readonly #usedAt: Float64Array;
  #uses = 0;
  /** Slots that were never used, or whose content was dropped. */
  readonly #free: number[] = [];
  #nextUnused = 0;
  readonly #waiting = new WriteQueue(QUEUE_UNITS_MAX);
  /** Slots whose records say something that is not in the file yet. */
  readonly #changed = new Set<number>();
  #isFlushDue = false;
  #takesPuts = true;
  #isClosed = false;
  readonly #staging = new Uint8Array(UNITS_AT_ONCE * UNIT_BYTES);
  readonly #name = nameBuffer();

  /** @throws what the file system throws */
  constructor(private readonly options: SiteStoreOptions) {
    const slotCount = Math.floor(options.bytesMax / UNIT_BYTES);
    const secret = randomBytes(4).readUInt32LE();
    this.#slotCount = slotCount;
    this.shared = new SharedImages(secret);
    this.#index = new NameIndex(secret);
    this.#order = new SlotOrder(slotCount);
    this.#pins = new Pins(slotCount);
    this.#numbers = new Float64Array(slotCount);
    this.#owners = new Owners(slotCount);
    this.#origins = new Uint8Array(slotCount);
    this.#usedAt = new Float64Array(slotCount);
    this.#slab = this.#restore(Slab.open(options.directory, slotCount));
  }

  /** Bytes that the store keeps at most. */
  get bytesMax(): number {
    return this.#slotCount * UNIT_BYTES;
  }

  /** Contents in the store. */
  get unitCount(): number {
    return this.#index.count;
  }

  /** Contents that a peer may refer to as its own. */
  unitCountOf(peer: string): number {
    const owner = this.#ownerOf(peer, false);
    let count = 0;
    for (let slot = 0; slot < this.#nextUnused; slot++) {
      if (this.#origins[slot] !== 0 && this.#owners.has(slot, owner)) count++;
    }
    return count;
  }

  /**
   * Keeps a content that a peer has sent, or notes that this peer has sent it as well.
   *
   * @param peer fingerprint of its certificate
   * @param content `UNIT_BYTES`, copied
   */
  put(peer: string, origin: Origin, content: Uint8Array): void {
    if (!this.#takesPuts || (origin === MEMORY && !this.options.keepsMemory)) return;
    if (this.#waiting.isFull) {
      this.counts.skipped++;
      return;
    }
    if (isZeroUnit(content)) return;
    const owner = this.#ownerOf(peer, true);
    if (owner === 0) return;
    nameContent(content, this.#name);
    const known = this.#index.find(this.#name);
    if (known >= 0) {
      this.counts.known++;
      this.#use(known);
      this.#alsoSentBy(known, owner);
      return;
    }
    const slot = this.#takeSlot();
    if (slot < 0) {
      this.counts.skipped++;
      return;
    }
    this.counts.kept++;
    this.#index.add(slot, this.#name);
    this.#origins[slot] = origin;
    this.#owners.clear(slot);
    this.#owners.add(slot, owner);
    this.#use(slot);
    this.#waiting.add(slot, content);
    this.#flushLater();
  }

  /**
   * Copies the content of a name that this peer may refer to.
   *
   * @param into `UNIT_BYTES`; undefined content where false is returned
   * @returns false for what is absent and for what only others have sent, without a difference
   */
  get(peer: string, name: Uint32Array, into: Uint8Array): boolean {
    const slot = this.#index.find(name);
    const isMine = slot >= 0 && this.#owners.has(slot, this.#ownerOf(peer, false));
    const isHere = !this.#isClosed &&
      ((isMine && this.#read(slot, name, into)) || this.shared.get(name, into));
    if (isHere) {
      this.counts.given++;
      return true;
    }
    this.counts.absent++;
    return false;
  }

  /**
   * What a peer may refer to, as hints (`hintOf`): its own contents, those used last, then shared
   * ones. They are pinned until `release`.
   *
   * @returns ascending, without repetition
   */
  offer(offerId: string, peer: string): Float64Array {
    const unitsMax = this.options.offerUnitsMax ?? OFFER_UNITS_MAX_DEFAULT;
    const owner = this.#ownerOf(peer, false);
    let mine: number[] = [];
    for (let slot = 0; slot < this.#nextUnused; slot++) {
      if (this.#origins[slot] !== 0 && this.#owners.has(slot, owner)) mine.push(slot);
    }
    if (mine.length > unitsMax) {
      mine = mine.sort((a, b) => this.#usedAt[b] - this.#usedAt[a]).slice(0, unitsMax);
    }
    this.#pins.pin(offerId, mine);
    for (const slot of mine) this.#order.remove(slot);
    const hints = mine.map((slot) => {
      this.#index.read(slot, this.#name);
      return hintOf(this.#name);
    });
    for (const hint of this.shared.hints(unitsMax - mine.length)) hints.push(hint);
    return Float64Array.from(new Set(hints)).sort();
  }

  /** What was pinned for an offer counts as used now, and may be evicted again. Idempotent. */
  release(offerId: string): void {
    const slots = this.#pins.release(offerId);
    slots.sort((a, b) => this.#usedAt[a] - this.#usedAt[b]);
    for (const slot of slots) {
      // One that was dropped meanwhile is free only now: its number was still pinned.
      if (this.#origins[slot] === 0) this.#free.push(slot);
      else this.#use(slot);
    }
  }

  /** Writes everything that waits. */
  flush(): void {
    while (this.#waiting.count > 0 || this.#changed.size > 0) this.#writeSome();
  }

  /** Writes what waits and lets go of the files. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    this.#takesPuts = false;
    this.shared.close();
    this.#slab.close();
  }

  /** Takes over what the files say; what they cannot mean is left out. */
  #restore(slab: Slab): Slab {
    const found: { slot: number; number: number }[] = [];
    const { peers, numbersLeased } = slab.key;
    for (const { slot, record } of slab.records()) {
      const { name, writeNumber, owners, origin } = record;
      if (origin === MEMORY && !this.options.keepsMemory) {
        // Their ciphertext has to go as well, and with it the key that it was written under.
        slab.close();
        Slab.remove(this.options.directory);
        for (const each of found) this.#index.remove(each.slot);
        this.#nextUnused = 0;
        return Slab.open(this.options.directory, this.#slotCount);
      }
      const isKnown = owners.some((owner) => owner > 0) &&
        owners.every((owner) => owner <= peers.length);
      if (!isKnown || writeNumber >= numbersLeased || this.#index.find(name) >= 0) continue;
      this.#index.add(slot, name);
      this.#numbers[slot] = writeNumber;
      this.#origins[slot] = origin;
      this.#owners.of(slot).set(owners);
      found.push({ slot, number: writeNumber });
      this.#nextUnused = slot + 1;
    }
    for (let slot = this.#nextUnused - 1; slot >= 0; slot--) {
      if (this.#origins[slot] === 0) this.#free.push(slot);
    }
    found.sort((a, b) => a.number - b.number);
    for (const { slot } of found) this.#use(slot);
    return slab;
  }

  #use(slot: number): void {
    this.#usedAt[slot] = ++this.#uses;
    if (!this.#pins.isPinned(slot)) this.#order.touch(slot);
  }

  /** A slot for a new content; -1 when every one is pinned. */
  #takeSlot(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#nextUnused < this.#slotCount) return this.#nextUnused++;
    const oldest = this.#order.oldest;
    if (oldest < 0) return -1;
    this.counts.evicted++;
    this.#forget(oldest);
    return oldest;
  }

  /** Takes what a slot holds out of the index. */
  #forget(slot: number): void {
    this.#index.remove(slot);
    this.#order.remove(slot);
    this.#waiting.delete(slot);
    this.#origins[slot] = 0;
  }

  /** What a slot holds is not what it should be, or could not be written. */
  #drop(slot: number): void {
    this.#forget(slot);
    if (!this.#pins.isPinned(slot)) this.#free.push(slot);
    this.#changed.add(slot);
    this.#flushLater();
  }

  #read(slot: number, name: Uint32Array, into: Uint8Array): boolean {
    const waiting = this.#waiting.get(slot);
    try {
      if (waiting !== null) into.set(waiting);
      else if (!this.#slab.read(slot, this.#numbers[slot], into)) into.fill(0);
      nameContent(into.subarray(0, UNIT_BYTES), this.#name);
      if (isSameName(this.#name, name)) {
        this.#use(slot);
        return true;
      }
    } catch (error) {
      this.#complain("read", error);
    }
    this.counts.damaged++;
    this.#drop(slot);
    return false;
  }

  /** Number of a peer; 0 for one that is not known, or that is one too many. */
  #ownerOf(peer: string, add: boolean): number {
    const { peers } = this.#slab.key;
    const owner = peers.indexOf(peer) + 1;
    if (owner > 0 || !add || peers.length >= PEERS_MAX) return owner;
    try {
      peers.push(peer);
      this.#slab.saveKey();
    } catch (error) {
      peers.pop();
      this.#giveUp(error);
      return 0;
    }
    return peers.length;
  }

  #alsoSentBy(slot: number, owner: number): void {
    if (this.#owners.has(slot, owner)) return;
    this.#owners.add(slot, owner);
    if (this.#waiting.has(slot)) return;
    this.#changed.add(slot);
    this.#flushLater();
  }

  #flushLater(): void {
    if (this.#isFlushDue || this.#isClosed) return;
    this.#isFlushDue = true;
    this.options.later(() => {
      this.#isFlushDue = false;
      if (this.#isClosed) return;
      // The more wait, the more of each turn they get: what finds no room is not kept.
      for (let share = this.#waiting.count; share >= 0; share -= QUEUE_UNITS_OF_BATCH) {
        this.#writeSome();
      }
      if (this.#waiting.count > 0 || this.#changed.size > 0) this.#flushLater();
    });
  }

  #writeSome(): void {
    const writes = this.#waiting.take(UNITS_AT_ONCE);
    try {
      if (writes.length > 0) {
        const first = this.#slab.write(writes, this.#staging);
        writes.forEach(({ slot }, i) => this.#numbers[slot] = first + i);
        this.#slab.writeRecords(writes.map(({ slot }) => ({ slot, record: this.#record(slot) })));
      }
      const changed = [...this.#changed].slice(0, RECORDS_AT_ONCE);
      for (const slot of changed) this.#changed.delete(slot);
      const entries = changed.filter((slot) => !this.#waiting.has(slot)).sort((a, b) => a - b)
        .map((slot) => ({ slot, record: this.#record(slot) }));
      this.#slab.writeRecords(entries);
    } catch (error) {
      this.#giveUp(error);
      // Whether they were written nobody knows.
      for (const { slot } of writes) if (this.#origins[slot] !== 0) this.#forget(slot);
    }
  }

  #record(slot: number): SlotRecord | null {
    if (this.#origins[slot] === 0) return null;
    const name = nameBuffer();
    this.#index.read(slot, name);
    const writeNumber = this.#numbers[slot];
    const owners = this.#owners.of(slot);
    return { name, writeNumber, owners, origin: this.#origins[slot] === MEMORY ? MEMORY : DISK };
  }

  /** The disk refuses: what is there is still given, nothing new is kept until the next start. */
  #giveUp(error: unknown): void {
    this.#takesPuts = false;
    this.#complain("write", error);
    for (const slot of [...this.#waiting.slots]) this.#forget(slot);
    this.#changed.clear();
  }

  #complain(action: "read" | "write", error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.options.log("warn", `Cannot ${action} the site's content store: ${reason}`);
  }
}
