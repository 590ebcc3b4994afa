/**
 * What waits in, or is being sent by, the bottleneck: a ring of (departure, size) in order.
 * Holds no packet, only the bytes that count against the queue's limit.
 */
export class Backlog {
  #departMs = new Float64Array(256);
  #packetBytes = new Float64Array(256);
  #head = 0;
  #packetCount = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get packetCount(): number {
    return this.#packetCount;
  }

  /** @param departMs not below that of the packet pushed before */
  push(departMs: number, packetBytes: number): void {
    if (this.#packetCount === this.#departMs.length) this.#grow();
    const tail = (this.#head + this.#packetCount) & (this.#departMs.length - 1);
    this.#departMs[tail] = departMs;
    this.#packetBytes[tail] = packetBytes;
    this.#packetCount++;
    this.#bytes += packetBytes;
  }

  /** Forgets what has left by `nowMs`. */
  release(nowMs: number): void {
    const mask = this.#departMs.length - 1;
    while (this.#packetCount > 0 && this.#departMs[this.#head] <= nowMs) {
      this.#bytes -= this.#packetBytes[this.#head];
      this.#head = (this.#head + 1) & mask;
      this.#packetCount--;
    }
  }

  #grow(): void {
    const capacity = this.#departMs.length;
    const departMs = new Float64Array(capacity * 2);
    const packetBytes = new Float64Array(capacity * 2);
    for (let i = 0; i < capacity; i++) {
      const from = (this.#head + i) & (capacity - 1);
      departMs[i] = this.#departMs[from];
      packetBytes[i] = this.#packetBytes[from];
    }
    this.#departMs = departMs;
    this.#packetBytes = packetBytes;
    this.#head = 0;
  }
}
