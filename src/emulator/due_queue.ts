/**
 * Packets on their way, earliest first; equal times leave in the order they came. A binary heap:
 * a link that reorders inserts anywhere, and a change of delay does so on every link.
 */
export class DueQueue<Item> {
  readonly #dueMs: number[] = [];
  readonly #order: number[] = [];
  readonly #items: Item[] = [];
  #pushed = 0;

  get length(): number {
    return this.#items.length;
  }

  /** When the first one is due; Infinity when empty. */
  get nextDueMs(): number {
    return this.#items.length === 0 ? Infinity : this.#dueMs[0];
  }

  push(dueMs: number, item: Item): void {
    const order = this.#pushed++;
    let at = this.#items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#dueMs[parent] <= dueMs) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, dueMs, order, item);
  }

  /** Takes the first one out. @throws {RangeError} when empty */
  pop(): Item {
    if (this.#items.length === 0) throw new RangeError("the queue is empty");
    const first = this.#items[0];
    const dueMs = this.#dueMs.pop()!;
    const order = this.#order.pop()!;
    const item = this.#items.pop()!;
    const length = this.#items.length;
    if (length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#before(child + 1, child)) child++;
      const childDueMs = this.#dueMs[child];
      if (childDueMs > dueMs || (childDueMs === dueMs && this.#order[child] > order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, dueMs, order, item);
    return first;
  }

  #before(a: number, b: number): boolean {
    return this.#dueMs[a] < this.#dueMs[b] ||
      (this.#dueMs[a] === this.#dueMs[b] && this.#order[a] < this.#order[b]);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#dueMs[from], this.#order[from], this.#items[from]);
  }

  #put(at: number, dueMs: number, order: number, item: Item): void {
    this.#dueMs[at] = dueMs;
    this.#order[at] = order;
    this.#items[at] = item;
  }
}
