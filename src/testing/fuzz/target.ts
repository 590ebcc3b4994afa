import type { ErrorCode } from "../../core/errors.ts";
import type { Dice } from "./dice.ts";

/** One parser, or what is behind one, as a fuzzer meets it. */
export interface FuzzTarget {
  readonly name: string;
  /** What is read, and who sends it. */
  readonly reads: string;
  /** Codes with which it may refuse an input; every other error is a finding. */
  readonly codes: readonly ErrorCode[];
  /** Documented errors that are no `GatewayError`, by name. */
  readonly alsoThrows?: readonly string[];
  /** How its inputs are kept: texts as they are, bytes as hex. */
  readonly form: "bytes" | "text";
  /** Buffers that one input may ask for, all together: from the limits that the parser names. */
  readonly bufferBytesMax: number;
  /** What one input may leave on the heap, garbage included; default 64 MiB. */
  readonly heapBytesMax?: number;
  /** How long one input may compute; default `CASE_MS_MAX`. */
  readonly caseMsMax?: number;
  /** Longest message of an error: it goes into logs and to the peer; default `MESSAGE_MAX`. */
  readonly messageMax?: number;
  /** Executions of about a second, or two; the tests take a share of them. */
  readonly testExecutions: number;
  /** An input as an honest sender makes it. */
  generate(dice: Dice): Uint8Array;
  /** Another form of an input that was of interest. */
  mutate(input: Uint8Array, dice: Dice, others: readonly Uint8Array[]): Uint8Array;
  /**
   * Reads one input and checks what must hold whatever it was.
   *
   * @returns what happened, in a few words: an input with another answer is kept and changed further
   * @throws its documented errors; an `AssertionError` for what must not be
   */
  run(input: Uint8Array): string | Promise<string>;
  /** Gives back what it holds: files, sockets. */
  close?(): Promise<void> | void;
}

/** Makes a target, with whatever it needs to be made. */
export type OpenTarget = () => FuzzTarget | Promise<FuzzTarget>;

/** Far above what any input needs, and below what other moves would notice much. */
export const CASE_MS_MAX = 1_000;
export const HEAP_BYTES_MAX = 64 * 1024 * 1024;
export const MESSAGE_MAX = 4_096;

/** How an input was met: read, or refused as documented. */
export interface Outcome {
  readonly kind: "read" | "refused";
  /** Of what was read, or code and form of the message of the refusal: one for each way through. */
  readonly signature: string;
}

/** What must not happen. */
export interface Finding {
  readonly kind: "crash" | "slow" | "buffers" | "heap" | "message" | "hang";
  readonly input: Uint8Array;
  readonly detail: string;
}
