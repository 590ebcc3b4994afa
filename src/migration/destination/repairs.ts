import type { GatewayError } from "../../core/errors.ts";

/** Mismatches that one move puts up with: more are no accident. */
export const REPAIRS_MAX = 16;

/**
 * The destination's half of a repair (docs/protocol.md). A batch whose pages come out wrong is not
 * applied, nor is anything after it on the channel: each batch may build on the one before. The source
 * is asked; once it has answered, frames pass by unread until the stream that it begins anew.
 */
export class Repairs {
  #number = 0;
  #answered: (() => void) | null = null;
  #isVoid = false;
  #error: GatewayError | null = null;

  /** @param ask tells the source; throws where it is too late to ask */
  constructor(private readonly ask: (number: number, sequence: number) => Promise<void>) {}

  /** What is wrong with what was received, until it is made good; null: every page is as it should be. */
  get pending(): GatewayError | null {
    return this.#error;
  }

  /** Frames of the present stream are of no use any more. */
  get isVoid(): boolean {
    return this.#isVoid;
  }

  /**
   * Asks for the pages of the frame `sequence` and everything after it; resolves when the source has
   * said that it will send them.
   *
   * @throws {GatewayError} `error` itself where no repair is possible
   */
  async request(sequence: number, error: GatewayError): Promise<void> {
    if (this.#number >= REPAIRS_MAX) throw error;
    this.#error = error;
    const answered = new Promise<void>((resolve) => this.#answered = resolve);
    await this.ask(++this.#number, sequence);
    await answered;
    this.#isVoid = true;
  }

  /** The source has heard of the repair `number`. */
  heard(number: number): void {
    if (number === this.#number) this.#answered?.();
  }

  /** A new stream begins, which makes good what the repairs up to `number` asked for. */
  streamBegins(number: number): void {
    if (number < this.#number) return;
    this.#isVoid = false;
    this.#error = null;
  }
}
