import { invariant } from "../../core/assert.ts";

/**
 * What a parser waits for: bytes collected in one piece, bytes put into a given place, or bytes
 * that nobody needs. The parser has checked the length against a named limit before it asks.
 */
export type Want =
  | { readonly kind: "collect"; readonly lengthBytes: number }
  | { readonly kind: "fill"; readonly target: Uint8Array }
  | { readonly kind: "skip"; readonly lengthBytes: number };

/**
 * A protocol written as straight-line code over a byte stream: it yields what it wants and gets it
 * (empty for `fill` and `skip`). A collected piece is valid until the next yield only, it may be
 * part of the caller's input buffer.
 */
export type Parser<Result = void> = Generator<Want, Result, Uint8Array>;

export function* collect(lengthBytes: number): Parser<Uint8Array> {
  return yield { kind: "collect", lengthBytes };
}

export function* fill(target: Uint8Array): Parser {
  yield { kind: "fill", target };
}

export function* skip(lengthBytes: number): Parser {
  yield { kind: "skip", lengthBytes };
}

const NOTHING = new Uint8Array(0);

/**
 * Runs a parser over a stream that arrives in any chunking.
 *
 * Nothing is kept of the input; a wanted piece that spans chunks is copied into a buffer of exactly
 * its size. Errors of the parser come out of `feed` and `advance`, after which the intake is over.
 */
export class Intake {
  readonly #parser: Parser;
  #want: Want | null = null;
  #doneBytes = 0;
  #piece: Uint8Array = NOTHING;

  constructor(parser: Parser) {
    this.#parser = parser;
    this.#resume(null);
  }

  /** True once the parser has returned; further bytes are ignored. */
  get ended(): boolean {
    return this.#want === null;
  }

  /** Takes the next bytes of the stream. */
  feed(bytes: Uint8Array): void {
    let at = 0;
    while (this.#want !== null && at < bytes.length) {
      const want = this.#want;
      const missingBytes = lengthOf(want) - this.#doneBytes;
      const takenBytes = Math.min(missingBytes, bytes.length - at);
      const part = bytes.subarray(at, at + takenBytes);
      at += takenBytes;
      if (want.kind === "collect" && this.#doneBytes === 0 && takenBytes === missingBytes) {
        this.#resume(part);
        continue;
      }
      if (want.kind === "fill") want.target.set(part, this.#doneBytes);
      if (want.kind === "collect") {
        if (this.#doneBytes === 0) this.#piece = new Uint8Array(want.lengthBytes);
        this.#piece.set(part, this.#doneBytes);
      }
      this.#doneBytes += takenBytes;
      if (takenBytes === missingBytes) {
        this.#resume(want.kind === "collect" ? this.#piece : NOTHING);
      }
    }
  }

  /**
   * Where the next bytes of the stream may be received without a copy, when at least `minBytes` of
   * them have one destination. Whoever received there calls `advance` instead of `feed`.
   */
  directTarget(minBytes: number): Uint8Array | null {
    if (this.#want?.kind !== "fill") return null;
    const rest = this.#want.target.subarray(this.#doneBytes);
    return rest.length >= minBytes ? rest : null;
  }

  /** `lengthBytes` have been received into the direct target. */
  advance(lengthBytes: number): void {
    const want = this.#want;
    invariant(want?.kind === "fill", "only a direct target can be advanced");
    this.#doneBytes += lengthBytes;
    invariant(this.#doneBytes <= want.target.length, "advanced beyond the direct target");
    if (this.#doneBytes === want.target.length) this.#resume(NOTHING);
  }

  #resume(piece: Uint8Array | null): void {
    this.#want = null;
    let step = piece === null ? this.#parser.next() : this.#parser.next(piece);
    while (!step.done && lengthOf(step.value) === 0) step = this.#parser.next(NOTHING);
    this.#want = step.done ? null : step.value;
    this.#doneBytes = 0;
    this.#piece = NOTHING;
  }
}

function lengthOf(want: Want): number {
  return want.kind === "fill" ? want.target.length : want.lengthBytes;
}
