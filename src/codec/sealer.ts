import { type OpenBatch, pack } from "./envelope.ts";

/** Packs batches, on this thread or on others (`src/sealing/`). */
export interface Sealer {
  /** Batches worth having under way at once; 1 where they are packed one after the other. */
  readonly ahead: number;
  /**
   * Packs a batch. Its body has been read, or copied, when this returns.
   *
   * @returns the payload; batches may be ready in another order than they were given
   */
  seal(batch: OpenBatch): Promise<Uint8Array>;
  /** Up to so many bytes come soon: what has to be started for them may be started now. */
  expect?(bytes: number): void;
}

/** Packs where it is called, at once. */
export const inlineSealer: Sealer = {
  ahead: 1,
  // Async: a batch that cannot be packed is a rejection here as well.
  // deno-lint-ignore require-await
  seal: async (batch) => pack(batch),
};
