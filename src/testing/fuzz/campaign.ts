import { cpuUsage } from "node:process";
import { observeAllocations } from "./allocations.ts";
import { Dice } from "./dice.ts";
import { causeOf, isFinding, meet } from "./outcome.ts";
import { CASE_MS_MAX, type Finding, type FuzzTarget, HEAP_BYTES_MAX } from "./target.ts";

/** Inputs that are changed further: those that met with something new, the newest of them. */
const POOL_MAX = 400;
/** Of the inputs this share is made from nothing. */
const FRESH_RATIO = 0.15;
/** The heap is looked at after so many inputs: a look costs as much as some of them. */
const HEAP_EVERY = 64;
/** Findings of different causes after which a campaign ends, unless its budget says so. */
const FINDINGS_MAX = 20;
/** An input that took too long, or too much, is met again: it may have been garbage of others. */
const TRIES = 3;

/** How long a campaign goes on. */
export interface Budget {
  readonly seed: number;
  /** Inputs beside those that are kept. */
  readonly executions: number;
  readonly seconds: number;
  /** Findings of different causes after which it ends. */
  readonly findings?: number;
}

/** What came of it. */
export interface CampaignResult {
  readonly name: string;
  readonly executions: number;
  readonly read: number;
  readonly refused: number;
  readonly seconds: number;
  /** Of processors, which other programs have no part in. */
  readonly cpuSeconds: number;
  /** Ways that were met, and one input for each that was new. */
  readonly ways: number;
  readonly novel: readonly { readonly signature: string; readonly input: Uint8Array }[];
  readonly findings: readonly Finding[];
  readonly largestBufferBytes: number;
  readonly slowestMs: number;
}

/** Meets a target with inputs: kept ones, fresh ones, and changed ones of both. */
export class Campaign {
  readonly #buffers = observed();
  readonly #ways = new Set<string>();
  readonly #pool: Uint8Array[] = [];
  readonly #novel: { signature: string; input: Uint8Array }[] = [];
  readonly #findings = new Map<string, Finding>();
  #recent: Uint8Array[] = [];
  #executions = 0;
  #read = 0;
  #refused = 0;
  #largestBufferBytes = 0;
  #slowestMs = 0;
  #heapBytes = 0;

  /**
   * @param kept inputs of the corpus: met first, and changed further
   * @param began told of each input before it is met
   */
  constructor(
    private readonly target: FuzzTarget,
    private readonly kept: readonly Uint8Array[],
    private readonly began: (input: Uint8Array) => void,
  ) {}

  async run(
    { seed, executions, seconds, findings = FINDINGS_MAX }: Budget,
  ): Promise<CampaignResult> {
    const { target } = this;
    const dice = new Dice(seed, target.name);
    const startedMs = performance.now();
    const startedCpuMs = cpuMs();
    // Kept first: ways that are known are no news.
    for (const input of this.kept) {
      await this.#meet(input);
      this.#pool.push(input);
    }
    this.#novel.length = 0;
    for (let done = 0; done < executions; done++) {
      if (performance.now() - startedMs >= seconds * 1000) break;
      if (this.#findings.size >= findings) break;
      const isFresh = this.#pool.length === 0 || dice.chance(FRESH_RATIO);
      await this.#meet(
        isFresh ? target.generate(dice) : target.mutate(this.#old(dice), dice, this.#pool),
      );
    }
    return {
      name: target.name,
      executions: this.#executions,
      read: this.#read,
      refused: this.#refused,
      seconds: (performance.now() - startedMs) / 1000,
      cpuSeconds: (cpuMs() - startedCpuMs) / 1000,
      ways: this.#ways.size,
      novel: this.#novel,
      findings: [...this.#findings.values()],
      largestBufferBytes: this.#largestBufferBytes,
      slowestMs: this.#slowestMs,
    };
  }

  /** Half of the time one of the newest; mostly the shorter one of two, which is met sooner. */
  #old(dice: Dice): Uint8Array {
    const { length } = this.#pool;
    const from = dice.chance(0.5) ? Math.max(0, length - 20) : 0;
    const [one, other] = [0, 0].map(() => this.#pool[dice.between(from, length - 1)]);
    return other.length < one.length && dice.chance(0.8) ? other : one;
  }

  async #meet(input: Uint8Array): Promise<void> {
    this.#executions++;
    const limitMs = this.target.caseMsMax ?? CASE_MS_MAX;
    let met = await this.#once(input);
    for (let tries = 1; tries < TRIES && met.ms > limitMs; tries++) met = await this.#once(input);
    this.#slowestMs = Math.max(this.#slowestMs, met.ms);
    const { outcome } = met;
    if (isFinding(outcome)) return this.#found(outcome);
    if (met.ms > limitMs) {
      const detail = `${Math.round(met.ms)} ms, allowed: ${limitMs}: ${outcome.signature}`;
      return this.#found({ kind: "slow", input, detail });
    }
    if (met.bufferBytes > this.target.bufferBytesMax) {
      const allowed = this.target.bufferBytesMax;
      const detail =
        `buffers of ${met.bufferBytes} bytes, allowed: ${allowed}: ${outcome.signature}`;
      return this.#found({ kind: "buffers", input, detail });
    }
    if (outcome.kind === "read") this.#read++;
    else this.#refused++;
    if (!this.#ways.has(outcome.signature)) {
      this.#ways.add(outcome.signature);
      // Not a view: its maker may use the bytes again.
      const own = input.slice();
      this.#novel.push({ signature: outcome.signature, input: own });
      this.#pool.push(own);
      if (this.#pool.length > POOL_MAX) this.#pool.splice(this.kept.length, 1);
    }
    await this.#watchHeap(input);
  }

  async #once(input: Uint8Array) {
    this.began(input);
    this.#buffers.reset();
    const startedMs = cpuMs();
    const outcome = await meet(this.target, input);
    const ms = cpuMs() - startedMs;
    const { sumBytes: bufferBytes, largestBytes } = this.#buffers;
    this.#largestBufferBytes = Math.max(this.#largestBufferBytes, largestBytes);
    return { outcome, ms, bufferBytes };
  }

  /** Growth over some inputs is looked into one by one. */
  async #watchHeap(input: Uint8Array): Promise<void> {
    const limit = this.target.heapBytesMax ?? HEAP_BYTES_MAX;
    this.#recent.push(input);
    if (this.#recent.length < HEAP_EVERY) return;
    const suspects = this.#recent;
    this.#recent = [];
    const grownBytes = this.#heapGrowth();
    if (grownBytes <= limit) return;
    for (const suspect of suspects) {
      let leastBytes = Infinity;
      for (let tries = 0; tries < TRIES && leastBytes > limit; tries++) {
        this.#heapGrowth();
        await this.#once(suspect);
        leastBytes = Math.min(leastBytes, this.#heapGrowth());
      }
      if (leastBytes <= limit) continue;
      const detail = `${leastBytes} bytes of heap, allowed: ${limit}`;
      this.#found({ kind: "heap", input: suspect, detail });
    }
  }

  /** Since the last call; less where garbage was collected in between. */
  #heapGrowth(): number {
    const { heapUsed, external } = Deno.memoryUsage();
    const before = this.#heapBytes;
    this.#heapBytes = heapUsed + external;
    return this.#heapBytes - before;
  }

  #found(finding: Finding): void {
    const cause = causeOf(finding);
    const known = this.#findings.get(cause);
    // The shortest input says most.
    if (known && known.input.length <= finding.input.length) return;
    this.#findings.set(cause, { ...finding, input: finding.input.slice() });
  }
}

/** What this process has computed so far. */
function cpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

let buffers: ReturnType<typeof observeAllocations> | null = null;

/** Once for a thread. */
function observed(): ReturnType<typeof observeAllocations> {
  return buffers ??= observeAllocations();
}
